//! From pictures to a network's input, as published processors do it.
//!
//! Owns resizing, cropping and normalising, and the reading of `preprocessor_config.json`. Refuses steps that it does not
//! know.

use candle_core::{DType, Device, Tensor};
use serde_json::Value;

use super::resize::resize;
use crate::{Error, Result};

pub use super::resize::Filter;

/// Largest side of a picture, before and after resizing.
pub const SIDE: usize = 4096;

/// The size that a picture is brought to before cropping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// Its shorter side; the other keeps the proportion, rounded down.
    ShortestEdge(usize),
    /// Height and width.
    Exact(usize, usize),
}

/// Steps before a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocessor {
    /// First step.
    pub resize: Resize,
    /// Its filter.
    pub filter: Filter,
    /// Height and width of the middle that is kept; all of it if `None`.
    pub crop: Option<(usize, usize)>,
    /// Subtracted by channel from values in `[0, 1]`.
    pub mean: [f64; 3],
    /// Divided by, by channel.
    pub deviation: [f64; 3],
}

const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const IMAGENET_DEVIATION: [f64; 3] = [0.229, 0.224, 0.225];

impl Preprocessor {
    /// CLIP's (`openai/clip-vit-base-patch32`): shorter side 224, bicubic, middle 224.
    pub fn clip(side: usize) -> Self {
        Self {
            resize: Resize::ShortestEdge(side),
            filter: Filter::Bicubic,
            crop: Some((side, side)),
            mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            deviation: [0.268_629_54, 0.261_302_58, 0.275_777_11],
        }
    }

    /// DINO's evaluation (Caron et al., arXiv 2104.14294, whose code it follows) and DreamBooth's: shorter side 8/7 of
    /// the network's, bicubic, middle.
    pub fn dino(side: usize) -> Self {
        Self {
            resize: Resize::ShortestEdge(side * 8 / 7),
            filter: Filter::Bicubic,
            crop: Some((side, side)),
            mean: IMAGENET_MEAN,
            deviation: IMAGENET_DEVIATION,
        }
    }

    /// Reads a `preprocessor_config.json` of an image processor with resize, centre crop, rescale and normalise.
    ///
    /// Refused: other filters than bilinear and bicubic, a rescale factor other than 1/255, no normalisation, a step
    /// that is neither on nor off, and sizes outside `1..=4096`.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let value: Value =
            serde_json::from_slice(json).map_err(|error| refuse(&error.to_string()))?;
        let on = |step: &str, default: bool| match value.get(step) {
            None | Some(Value::Null) => Ok(default),
            Some(flag) => flag.as_bool().ok_or_else(|| refuse(step)),
        };
        let factor = value.get("rescale_factor").and_then(Value::as_f64);
        let rescales = factor.is_none_or(|factor| (factor * 255.0 - 1.0).abs() < 1e-6);
        let steps = [
            on("do_resize", true)?,
            on("do_normalize", true)?,
            on("do_rescale", true)?,
        ];
        if !rescales || steps.contains(&false) {
            return Err(refuse("do_resize, do_rescale by 1/255 or do_normalize"));
        }
        Ok(Self {
            resize: resize_step(value.get("size"))?,
            filter: filter(value.get("resample"))?,
            crop: on("do_center_crop", value.get("crop_size").is_some())?
                .then(|| pair(value.get("crop_size")))
                .transpose()?,
            mean: channels(&value, "image_mean")?,
            deviation: channels(&value, "image_std")?,
        })
    }

    /// `pixels: [n, 3, h, w]` in `[-1, 1]`, brought to bytes first as their PNG files are; result `[n, 3, H, W]`
    /// (`f32`, on the CPU). No gradient.
    pub fn apply(&self, pixels: &Tensor) -> Result<Tensor> {
        let (count, channels, height, width) = pixels.dims4()?;
        let cropped = self.crop.unwrap_or_else(|| self.target(height, width));
        let (tall, wide) = self.target(height.max(1), width.max(1));
        let fits = |side: usize| (1..=SIDE).contains(&side);
        let all = [height, width, tall, wide].into_iter().all(fits);
        if count == 0 || channels != 3 || !all || tall < cropped.0 || wide < cropped.1 {
            return Err(Error::ImageShape {
                actual: pixels.dims().to_vec(),
                expected: format!(
                    "[n, 3, h, w] with n > 0 and sides up to {SIDE} that can be cropped to {cropped:?}"
                ),
            });
        }
        let bytes = to_bytes(pixels)?;
        let mut values = Vec::with_capacity(count * 3 * cropped.0 * cropped.1);
        for (index, plane) in bytes.chunks_exact(height * width).enumerate() {
            let resized = resize(plane, (height, width), (tall, wide), self.filter);
            let (mean, deviation) = (self.mean[index % 3], self.deviation[index % 3]);
            let (top, left) = ((tall - cropped.0) / 2, (wide - cropped.1) / 2);
            for row in resized.chunks_exact(wide).skip(top).take(cropped.0) {
                let row = &row[left..left + cropped.1];
                #[expect(clippy::cast_possible_truncation, reason = "pixels of f32 networks")]
                let scaled = |byte: &u8| ((f64::from(*byte) / 255.0 - mean) / deviation) as f32;
                values.extend(row.iter().map(scaled));
            }
        }
        let shape = (count, 3, cropped.0, cropped.1);
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    /// Height and width after the first step.
    fn target(&self, height: usize, width: usize) -> (usize, usize) {
        match self.resize {
            Resize::Exact(height, width) => (height, width),
            Resize::ShortestEdge(side) if height <= width => (side, side * width / height),
            Resize::ShortestEdge(side) => (side * height / width, side),
        }
    }
}

/// Pixels in `[-1, 1]` as bytes, plane by plane.
pub(super) fn to_bytes(pixels: &Tensor) -> Result<Vec<u8>> {
    let scaled = ((pixels.clamp(-1.0, 1.0)? + 1.0)? * 127.5)?.round()?;
    let bytes = scaled.to_dtype(DType::U8)?.flatten_all()?;
    Ok(bytes.to_device(&Device::Cpu)?.to_vec1::<u8>()?)
}

fn refuse(what: &str) -> Error {
    Error::Diffusion(diffusion::Error::Unsupported {
        what: "preprocessor_config.json",
        value: what.to_owned(),
    })
}

fn side(value: Option<&Value>) -> Result<usize> {
    let side = value
        .and_then(Value::as_u64)
        .and_then(|side| usize::try_from(side).ok());
    side.filter(|side| (1..=SIDE).contains(side))
        .ok_or_else(|| refuse("a size outside 1..=4096"))
}

fn resize_step(size: Option<&Value>) -> Result<Resize> {
    if let Some(edge) = size.and_then(|size| size.get("shortest_edge")) {
        return Ok(Resize::ShortestEdge(side(Some(edge))?));
    }
    // CLIP's oldest files give a number for the shorter side, as those with a crop do.
    let (height, width) = pair(size)?;
    Ok(Resize::Exact(height, width))
}

fn pair(size: Option<&Value>) -> Result<(usize, usize)> {
    match size {
        Some(Value::Object(sides)) => Ok((side(sides.get("height"))?, side(sides.get("width"))?)),
        number => side(number).map(|side| (side, side)),
    }
}

/// Pillow's numbers.
fn filter(resample: Option<&Value>) -> Result<Filter> {
    match resample.and_then(Value::as_u64) {
        Some(2) => Ok(Filter::Bilinear),
        Some(3) => Ok(Filter::Bicubic),
        _ => Err(refuse("a resample other than 2 (bilinear) and 3 (bicubic)")),
    }
}

fn channels(value: &Value, name: &str) -> Result<[f64; 3]> {
    let list = value.get(name).and_then(Value::as_array);
    let list: Option<Vec<f64>> = list.and_then(|list| list.iter().map(Value::as_f64).collect());
    let found = list.and_then(|list| <[f64; 3]>::try_from(list).ok());
    let sane = |values: &[f64; 3]| values.iter().all(|v| (0.0..=1.0).contains(v));
    found
        .filter(sane)
        .filter(|values| name != "image_std" || values.iter().all(|v| *v > 0.0))
        .ok_or_else(|| refuse(name))
}
