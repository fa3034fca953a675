//! EfficientNet-Lite0 (Tan and Le, arXiv 1905.11946; the Lite variant has no squeeze-and-excitation and clips at 6) as a
//! feature net for FID and KID over photographs.
//!
//! Owns the layers and the loading. Refuses to be called Inception or CLIP: distances over it compare with one another
//! alone.

use candle_core::Tensor;
use diffusion::{Result, ops, weights::WeightsFile};

use super::{
    preprocess::{Filter, Preprocessor, Resize},
    read::Reader,
    window::{Padding, depthwise},
};

/// Side of the pictures it reads.
pub const SIDE: usize = 224;
/// Features of a picture.
pub const FEATURES: usize = 1280;

/// Epsilon of its batch normalisations.
const EPSILON: f64 = 1e-3;
/// Where its activation clips.
const CEILING: f32 = 6.0;
/// Channels after the stem, and of the last block.
const STEM: usize = 32;
const LAST: usize = 320;

/// (blocks, kernel, stride of the first, expansion, channels out).
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, LAST),
];

/// A convolution with its batch normalisation folded in.
#[derive(Debug)]
struct Folded {
    weight: Tensor,
    bias: Tensor,
}

impl Folded {
    /// `y = (conv(x) - mean) g / sqrt(var + epsilon) + b` as one convolution with a bias.
    fn new(reader: &Reader<'_>, conv: &str, norm: &str, shape: [usize; 4]) -> Result<Self> {
        let outputs = shape[0];
        let weight = reader.child(conv).tensor("weight", &shape)?;
        let norm = reader.child(norm);
        let get = |name: &str| norm.tensor(name, &[outputs]);
        let scale = (get("weight")? / (get("running_var")? + EPSILON)?.sqrt()?)?;
        Ok(Self {
            weight: weight.broadcast_mul(&scale.reshape((outputs, 1, 1, 1))?)?,
            bias: (get("bias")? - (get("running_mean")? * &scale)?)?,
        })
    }

    fn convolve(&self, xs: &Tensor) -> Result<Tensor> {
        Ok(ops::conv2d(xs, &self.weight, Some(&self.bias), 1, 0)?)
    }

    fn slide(&self, xs: &Tensor, stride: usize) -> Result<Tensor> {
        Ok(depthwise(
            xs,
            &self.weight,
            Some(&self.bias),
            stride,
            Padding::Same,
        )?)
    }
}

/// An inverted bottleneck.
#[derive(Debug)]
struct Block {
    expand: Option<Folded>,
    slide: Folded,
    project: Folded,
    stride: usize,
}

impl Block {
    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let wide = match &self.expand {
            Some(expand) => clipped(&expand.convolve(xs)?)?,
            None => xs.clone(),
        };
        let slid = clipped(&self.slide.slide(&wide, self.stride)?)?;
        let ys = self.project.convolve(&slid)?;
        Ok(if ys.dims() == xs.dims() {
            (ys + xs)?
        } else {
            ys
        })
    }
}

/// The feature net.
#[derive(Debug)]
pub struct EfficientNet {
    stem: Folded,
    blocks: Vec<Block>,
    head: Folded,
    preprocessor: Preprocessor,
}

impl EfficientNet {
    /// What reports call it.
    pub const NAME: &'static str = "EfficientNet-Lite0 (ImageNet)";

    /// Loads safetensors with the names of `efficientnet_lite_pytorch`; the classifier is not read.
    pub fn load(weights: &[u8]) -> Result<Self> {
        let file = WeightsFile::from_bytes(weights)?;
        let root = Reader::new(&file);
        let mut blocks = Vec::new();
        let mut inputs = STEM;
        for (count, kernel, stride, expansion, outputs) in STAGES {
            for repeat in 0..count {
                let reader = root.child("_blocks").child(blocks.len());
                let stride = if repeat == 0 { stride } else { 1 };
                blocks.push(block(
                    &reader,
                    (inputs, expansion, outputs),
                    kernel,
                    stride,
                )?);
                inputs = outputs;
            }
        }
        Ok(Self {
            stem: Folded::new(&root, "_conv_stem", "_bn0", [STEM, 3, 3, 3])?,
            blocks,
            head: Folded::new(&root, "_conv_head", "_bn1", [FEATURES, LAST, 1, 1])?,
            preprocessor: Preprocessor {
                resize: Resize::ShortestEdge(SIDE),
                filter: Filter::Bicubic,
                crop: Some((SIDE, SIDE)),
                // (byte - 127) / 128.
                mean: [127.0 / 255.0; 3],
                deviation: [128.0 / 255.0; 3],
            },
        })
    }

    /// Pictures `[n, 3, h, w]` in `[-1, 1]` to features before the classifier, `[n, 1280]`, at least 0.
    pub fn features(&self, pixels: &Tensor) -> crate::Result<Tensor> {
        Ok(self.forward(&self.preprocessor.apply(pixels)?)?)
    }

    /// Prepared pictures `[n, 3, s, s]` of any side to `[n, 1280]`.
    pub fn forward(&self, inputs: &Tensor) -> Result<Tensor> {
        let (_, _, height, width) = inputs.dims4()?;
        let stem = if height.is_multiple_of(2) && width.is_multiple_of(2) {
            ops::conv2d_padded_after(inputs, &self.stem.weight, Some(&self.stem.bias), 2)?
        } else {
            ops::conv2d(inputs, &self.stem.weight, Some(&self.stem.bias), 2, 1)?
        };
        let mut xs = clipped(&stem)?;
        for block in &self.blocks {
            xs = block.forward(&xs)?;
        }
        Ok(clipped(&self.head.convolve(&xs)?)?.mean((2, 3))?)
    }
}

fn block(
    reader: &Reader<'_>,
    (inputs, expansion, outputs): (usize, usize, usize),
    kernel: usize,
    stride: usize,
) -> Result<Block> {
    let inner = inputs * expansion;
    let expand = (expansion > 1)
        .then(|| Folded::new(reader, "_expand_conv", "_bn0", [inner, inputs, 1, 1]))
        .transpose()?;
    Ok(Block {
        expand,
        slide: Folded::new(
            reader,
            "_depthwise_conv",
            "_bn1",
            [inner, 1, kernel, kernel],
        )?,
        project: Folded::new(reader, "_project_conv", "_bn2", [outputs, inner, 1, 1])?,
        stride,
    })
}

fn clipped(xs: &Tensor) -> Result<Tensor> {
    Ok(xs.clamp(0.0_f32, CEILING)?)
}
