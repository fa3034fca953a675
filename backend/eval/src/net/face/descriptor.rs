//! The identity network: dlib's residual network of 29 layers, a face to 128 numbers.
//!
//! Owns the forward pass. Refuses to normalise: distances below 0.6 mean one person, as it was trained.

use candle_core::Tensor;
use diffusion::ops;

use super::{
    super::window::{Padding, max_pool},
    Place,
    landmarks::MEAN,
    manifest::{Manifest, ManifestFiles},
    prepared,
};
use crate::Result;

/// Side of its input.
const SIDE: usize = 150;
/// Numbers of a descriptor.
pub const DESCRIPTOR: usize = 128;

/// (name, channels in, channels out, whether it halves).
const BLOCKS: [(&str, usize, usize, bool); 14] = [
    ("conv32_1", 32, 32, false),
    ("conv32_2", 32, 32, false),
    ("conv32_3", 32, 32, false),
    ("conv64_down", 32, 64, true),
    ("conv64_1", 64, 64, false),
    ("conv64_2", 64, 64, false),
    ("conv64_3", 64, 64, false),
    ("conv128_down", 64, 128, true),
    ("conv128_1", 128, 128, false),
    ("conv128_2", 128, 128, false),
    ("conv256_down", 128, 256, true),
    ("conv256_1", 256, 256, false),
    ("conv256_2", 256, 256, false),
    ("conv256_down_out", 256, 256, true),
];

/// A convolution with the scale and shift behind it folded in.
#[derive(Debug)]
struct Folded {
    weight: Tensor,
    bias: Tensor,
}

impl Folded {
    /// `y = (conv(x) + b) s + t`.
    fn new(
        manifest: &Manifest,
        name: &str,
        side: usize,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self> {
        let get = |part: &str| manifest.vector(&format!("{name}/{part}"), outputs);
        let kernel = manifest.kernel(&format!("{name}/conv/filters"), side, inputs, outputs)?;
        let scale = get("scale/weights")?;
        Ok(Self {
            weight: kernel.broadcast_mul(&scale.reshape((outputs, 1, 1, 1))?)?,
            bias: ((get("conv/bias")? * &scale)? + get("scale/biases")?)?,
        })
    }

    fn forward(&self, xs: &Tensor, stride: usize, padding: usize) -> Result<Tensor> {
        Ok(ops::conv2d(
            xs,
            &self.weight,
            Some(&self.bias),
            stride,
            padding,
        )?)
    }
}

#[derive(Debug)]
struct Residual {
    first: Folded,
    second: Folded,
    halves: bool,
}

impl Residual {
    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        if !self.halves {
            let ys = self.first.forward(xs, 1, 1)?.relu()?;
            return Ok((self.second.forward(&ys, 1, 1)? + xs)?.relu()?);
        }
        let ys = self.first.forward(xs, 2, 0)?.relu()?;
        let mut ys = self.second.forward(&ys, 1, 1)?;
        let mut shortcut = xs.avg_pool2d(2)?;
        let (_, channels, height, width) = ys.dims4()?;
        let (_, inputs, tall, wide) = shortcut.dims4()?;
        // Pooling rounds up where the convolution rounds down: the library pads the latter by one line of zeros.
        ys = ys.pad_with_zeros(2, 0, tall.saturating_sub(height))?;
        ys = ys.pad_with_zeros(3, 0, wide.saturating_sub(width))?;
        shortcut = shortcut.pad_with_zeros(1, 0, channels - inputs)?;
        Ok((ys + shortcut)?.relu()?)
    }
}

/// The identity network.
#[derive(Debug)]
pub struct Descriptor {
    stem: Folded,
    blocks: Vec<Residual>,
    weight: Tensor,
}

impl Descriptor {
    /// Loads `face_recognition_model`.
    pub fn load(files: ManifestFiles<'_>) -> Result<Self> {
        let manifest = Manifest::read(files)?;
        let block = |(name, inputs, outputs, halves): (&str, usize, usize, bool)| {
            let part = |part: &str| format!("{name}/{part}");
            Ok(Residual {
                first: Folded::new(&manifest, &part("conv1"), 3, inputs, outputs)?,
                second: Folded::new(&manifest, &part("conv2"), 3, outputs, outputs)?,
                halves,
            })
        };
        Ok(Self {
            stem: Folded::new(&manifest, "conv32_down", 7, 3, 32)?,
            blocks: BLOCKS.into_iter().map(block).collect::<Result<_>>()?,
            weight: manifest.matrix("fc", 256, DESCRIPTOR)?,
        })
    }

    /// A prepared face `[1, 3, 150, 150]` to `[1, 128]`.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let xs = self.stem.forward(input, 2, 0)?.relu()?;
        let mut xs = max_pool(&xs, 3, 2, Padding::Valid)?;
        for block in &self.blocks {
            xs = block.forward(&xs)?;
        }
        Ok(ops::linear(&xs.mean((2, 3))?, &self.weight, None)?)
    }

    /// The descriptor of an aligned face `[1, 3, h, w]` in `[0, 255]`.
    pub fn describe(&self, face: &Tensor) -> Result<Vec<f32>> {
        let input = prepared(face, SIDE, Place::Middle, MEAN)?;
        Ok(self.forward(&input)?.flatten_all()?.to_vec1()?)
    }
}
