//! Faces: finding them, aligning them, and telling whose they are, with the networks of `face-api`.
//!
//! Owns the three networks and the path from a picture to a descriptor. Refuses other architectures, and to say that two
//! people are one: [`crate::metric::face`] does, by a stated distance.

mod descriptor;
mod detector;
mod landmarks;
mod manifest;
mod separable;

use candle_core::{Device, Tensor};

use super::{preprocess::to_bytes, window::resize_bilinear};
use crate::Result;

pub use self::{
    descriptor::{DESCRIPTOR, Descriptor},
    detector::{DetectedBox, Detector},
    landmarks::{Landmarks, aligned},
    manifest::{Manifest, ManifestFiles},
};

/// A face that was found in a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Face {
    /// Where.
    pub detection: DetectedBox,
    /// Whose: 128 numbers, near for one person.
    pub descriptor: Vec<f32>,
}

/// The whole path: detector, landmarks, descriptor.
#[derive(Debug)]
pub struct FaceReader {
    detector: Detector,
    landmarks: Landmarks,
    descriptor: Descriptor,
}

impl FaceReader {
    /// Joins the three networks.
    pub fn new(detector: Detector, landmarks: Landmarks, descriptor: Descriptor) -> Self {
        Self {
            detector,
            landmarks,
            descriptor,
        }
    }

    /// Every face of every picture, the surest first; `pixels: [n, 3, h, w]` in `[-1, 1]`, brought to bytes first.
    ///
    /// The crop of a detection gives 68 landmarks, those an upright square around eyes and mouth, and that square the
    /// descriptor, all as `face-api` does it on tensors. A face cut off to nothing by the picture's edge is left out.
    pub fn read(&self, pixels: &Tensor) -> Result<Vec<Vec<Face>>> {
        let bytes = byte_values(pixels)?;
        let count = bytes.dim(0)?;
        (0..count)
            .map(|index| self.read_one(&bytes.narrow(0, index, 1)?))
            .collect()
    }

    fn read_one(&self, picture: &Tensor) -> Result<Vec<Face>> {
        let mut faces = Vec::new();
        for detection in self.detector.detect(picture)? {
            let Some(crop) = cropped(picture, detection.rectangle())? else {
                continue;
            };
            let points = self.landmarks.points(&crop)?;
            let (_, _, height, width) = crop.dims4()?;
            let origin = (f64::from(detection.left), f64::from(detection.top));
            let square = aligned(&points, origin, (width, height));
            if let Some(face) = cropped(picture, square)? {
                let descriptor = self.descriptor.describe(&face)?;
                faces.push(Face {
                    detection,
                    descriptor,
                });
            }
        }
        Ok(faces)
    }
}

/// Left, top, width and height in pixels.
pub type Rectangle = [f64; 4];

/// Pixels in `[-1, 1]` as the values of their bytes, `[n, 3, h, w]` in `[0, 255]`.
fn byte_values(pixels: &Tensor) -> Result<Tensor> {
    let bytes: Vec<f32> = to_bytes(pixels)?.into_iter().map(f32::from).collect();
    Ok(Tensor::from_vec(bytes, pixels.dims(), &Device::Cpu)?)
}

/// A rectangle cut off at the picture's edge and rounded down; `None` where nothing is left.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "cut off at the picture's edge"
)]
fn cropped(picture: &Tensor, [left, top, width, height]: Rectangle) -> Result<Option<Tensor>> {
    let (_, _, rows, columns) = picture.dims4()?;
    let span = |start: f64, length: f64, size: usize| {
        let first = start.max(0.0);
        let length = (start + length - first).min(size as f64 - first);
        let whole = length.is_finite() && length >= 1.0 && first < size as f64;
        whole.then(|| (first.floor() as usize, length.floor() as usize))
    };
    match (span(left, width, columns), span(top, height, rows)) {
        (Some((x, width)), Some((y, height))) => {
            let rows = picture.narrow(2, y, height)?;
            Ok(Some(rows.narrow(3, x, width)?.contiguous()?))
        }
        _ => Ok(None),
    }
}

/// Where a picture lies in the square that it is padded to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the start; padded after.
    Start,
    /// In the middle; the odd pixel after.
    Middle,
}

/// A picture padded to a square with black and resized, less a mean by channel, over 255.
fn prepared(picture: &Tensor, side: usize, place: Place, mean: [f32; 3]) -> Result<Tensor> {
    let (_, _, height, width) = picture.dims4()?;
    let lack = height.abs_diff(width);
    let after = if place == Place::Start {
        lack
    } else {
        lack.div_ceil(2)
    };
    let axis = if height > width { 3 } else { 2 };
    let square = picture.pad_with_zeros(axis, lack - after, after)?;
    let resized = if height.max(width) == side {
        square
    } else {
        resize_bilinear(&square, side, side)?
    };
    let mean = Tensor::new(&mean, &Device::Cpu)?.reshape((1, 3, 1, 1))?;
    Ok((resized.broadcast_sub(&mean)? / 255.0)?)
}
