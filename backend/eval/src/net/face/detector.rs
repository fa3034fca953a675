//! The tiny face detector: a separable YOLO v2 over 13 x 13 cells and five anchors.
//!
//! Owns the forward pass, the decoding of boxes and the suppression of doubles. Refuses to look closer than its 416
//! pixels: faces below about 20 of them are missed.

use candle_core::Tensor;
use diffusion::ops;

use super::{
    super::window::{Padding, max_pool},
    Place, Rectangle,
    manifest::{Manifest, ManifestFiles},
    prepared,
    separable::Separable,
};
use crate::Result;

/// Side of its input.
const SIDE: usize = 416;
/// Score from which a box counts, the library's default.
const SCORE: f32 = 0.5;
/// Overlap from which two boxes are one.
const OVERLAP: f32 = 0.4;
/// Numbers of a box: centre, size, score.
const NUMBERS: usize = 5;

/// Mean colour of its training.
const MEAN: [f32; 3] = [117.001, 114.697, 97.404];
/// Width and height of typical faces, in cells.
const ANCHORS: [[f32; 2]; 5] = [
    [1.603_231, 2.094_468],
    [6.041_143, 7.080_126],
    [2.882_459, 3.518_061],
    [4.266_906, 5.178_857],
    [9.041_765, 10.663_08],
];
/// Channels, from the picture on.
const CHANNELS: [usize; 7] = [3, 16, 32, 64, 128, 256, 512];

/// A box in pixels of the picture, and how sure the detector is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DetectedBox {
    /// Left edge.
    pub left: f32,
    /// Top edge.
    pub top: f32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
    /// In (0, 1).
    pub score: f32,
}

impl DetectedBox {
    pub(super) fn rectangle(&self) -> Rectangle {
        [self.left, self.top, self.width, self.height].map(f64::from)
    }

    /// Intersection over union.
    fn overlap(&self, other: &Self) -> f32 {
        let span = |start: f32, length: f32, from: f32, size: f32| {
            ((start + length).min(from + size) - start.max(from)).max(0.0)
        };
        let common = span(self.left, self.width, other.left, other.width)
            * span(self.top, self.height, other.top, other.height);
        common / (self.width * self.height + other.width * other.height - common)
    }
}

/// The detector.
#[derive(Debug)]
pub struct Detector {
    first: (Tensor, Tensor),
    middle: Vec<Separable>,
    last: (Tensor, Tensor),
}

impl Detector {
    /// Loads `tiny_face_detector_model`.
    pub fn load(files: ManifestFiles<'_>) -> Result<Self> {
        let manifest = Manifest::read(files)?;
        let conv = |name: &str, side: usize, inputs: usize, outputs: usize| -> Result<_> {
            let kernel = manifest.kernel(&format!("{name}/filters"), side, inputs, outputs)?;
            Ok((kernel, manifest.vector(&format!("{name}/bias"), outputs)?))
        };
        let separable = |index: usize| {
            let name = format!("conv{index}");
            Separable::new(&manifest, &name, CHANNELS[index], CHANNELS[index + 1])
        };
        Ok(Self {
            first: conv("conv0", 3, CHANNELS[0], CHANNELS[1])?,
            middle: (1..CHANNELS.len() - 1)
                .map(separable)
                .collect::<Result<_>>()?,
            last: conv("conv8", 1, CHANNELS[6], ANCHORS.len() * NUMBERS)?,
        })
    }

    /// A picture `[1, 3, h, w]` in `[0, 255]` as the network takes it, `[1, 3, 416, 416]`.
    pub fn prepare(picture: &Tensor) -> Result<Tensor> {
        prepared(picture, SIDE, Place::Start, MEAN)
    }

    /// Faces of one picture, `[1, 3, h, w]` in `[0, 255]`, the surest first.
    pub fn detect(&self, picture: &Tensor) -> Result<Vec<DetectedBox>> {
        let (_, _, height, width) = picture.dims4()?;
        let cells = self.forward(&Self::prepare(picture)?)?;
        Ok(suppressed(decoded(&cells, height.max(width))?))
    }

    /// A prepared picture `[1, 3, 416, 416]` to five numbers an anchor, `[1, 25, 13, 13]`.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let xs = ops::conv2d(input, &self.first.0, Some(&self.first.1), 1, 0)?;
        let mut xs = leaky(&xs)?;
        for (index, layer) in self.middle.iter().enumerate() {
            xs = max_pool(&xs, 2, 2, Padding::Same)?;
            let ys = layer.forward(&xs, 1, Padding::Around(1))?;
            xs = leaky(&ys)?;
            if index + 1 == self.middle.len() {
                xs = max_pool(&xs, 2, 1, Padding::Same)?;
            }
        }
        Ok(ops::conv2d(&xs, &self.last.0, Some(&self.last.1), 1, 0)?)
    }
}

/// `max(x, 0.1 x)`.
fn leaky(xs: &Tensor) -> Result<Tensor> {
    Ok(xs.maximum(&(xs * 0.1)?)?)
}

/// Boxes above the score, in pixels of a picture that was padded to a square of `side`.
///
/// YOLO v2 (Redmon and Farhadi, arXiv 1612.08242, section 2): centre `(cell + sigmoid(t)) / cells`, size
/// `anchor exp(t) / cells`.
fn decoded(numbers: &Tensor, side: usize) -> Result<Vec<DetectedBox>> {
    let (_, _, rows, columns) = numbers.dims4()?;
    let values = numbers.squeeze(0)?.to_vec3::<f32>()?;
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    let mut boxes = Vec::new();
    for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
        for (anchor, [wide, tall]) in ANCHORS.iter().enumerate() {
            let number = |index: usize| values[anchor * NUMBERS + index][row][column];
            let score = sigmoid(number(4));
            if score <= SCORE {
                continue;
            }
            let (across, down) = (side as f32 / columns as f32, side as f32 / rows as f32);
            let (width, height) = (
                number(2).exp() * wide * across,
                number(3).exp() * tall * down,
            );
            boxes.push(DetectedBox {
                left: (column as f32 + sigmoid(number(0))) * across - width / 2.0,
                top: (row as f32 + sigmoid(number(1))) * down - height / 2.0,
                width,
                height,
                score,
            });
        }
    }
    Ok(boxes)
}

/// The surest of boxes that overlap.
fn suppressed(mut boxes: Vec<DetectedBox>) -> Vec<DetectedBox> {
    boxes.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<DetectedBox> = Vec::new();
    for candidate in boxes {
        if kept
            .iter()
            .all(|other| other.overlap(&candidate) <= OVERLAP)
        {
            kept.push(candidate);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surest_of_overlapping_boxes_stays() {
        let found = |left: f32, score: f32| DetectedBox {
            left,
            top: 0.0,
            width: 10.0,
            height: 10.0,
            score,
        };
        let kept = suppressed(vec![
            found(0.0, 0.6),
            found(1.0, 0.9),
            found(20.0, 0.7),
            found(5.0, 0.8),
        ]);
        // 0 and 1 share 9/11; 1 and 5 share 6/14 > 0.4.
        let lefts: Vec<f32> = kept.iter().map(|kept| kept.left).collect();
        assert_eq!(lefts, [1.0, 20.0]);
    }
}
