//! `AutoencoderKL` with diffusers' tensor names, forward only.
//!
//! Refuses block types and options that it does not compute exactly as diffusers does.

use candle_core::{DType, Device, Tensor};
use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Error, Result,
    nn::{Bias, Conv2d, ConvShape, GroupNorm, Initializer, Linear, Reader, Scope, Source},
    noise,
    ops::{self, Mask},
    weights::{Weights, WeightsFile},
};

/// Epsilon of all normalisations; diffusers fixes it.
const EPSILON: f32 = 1e-6;

/// Bounds of the posterior's log-variance, as in diffusers.
const LOG_VARIANCE: (f64, f64) = (-30.0, 20.0);

/// Configuration of an `AutoencoderKL`; missing fields take diffusers' defaults.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct KlConfig {
    /// Channels of the images that are encoded.
    pub in_channels: usize,
    /// Channels of the images that are decoded.
    pub out_channels: usize,
    /// `DownEncoderBlock2D` per level.
    pub down_block_types: Vec<String>,
    /// `UpDecoderBlock2D` per level.
    pub up_block_types: Vec<String>,
    /// Channels per level, from the highest resolution to the lowest.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks per level of the encoder; the decoder has one more.
    pub layers_per_block: usize,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Groups of every group normalisation.
    pub norm_num_groups: usize,
    /// Factor that brings latents to a spread near one.
    pub scaling_factor: f64,
    /// Everything else in the file.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Default for KlConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            down_block_types: vec!["DownEncoderBlock2D".to_owned()],
            up_block_types: vec!["UpDecoderBlock2D".to_owned()],
            block_out_channels: vec![64],
            layers_per_block: 1,
            latent_channels: 4,
            norm_num_groups: 32,
            scaling_factor: 0.182_15,
            extra: Map::new(),
        }
    }
}

/// Fields that would change the computation, with the values under which they do not.
const INERT: &[(&str, &[&str])] = &[
    ("act_fn", &["\"silu\""]),
    ("latents_mean", &["null"]),
    ("latents_std", &["null"]),
    ("mid_block_add_attention", &["true"]),
    ("shift_factor", &["null"]),
    ("use_post_quant_conv", &["true"]),
    ("use_quant_conv", &["true"]),
];

/// Most levels; known models have four.
const MAX_LEVELS: usize = 16;

/// Most levels below the first that count; a file may claim any number before it is checked.
const MOST_HALVINGS: usize = 16;

impl KlConfig {
    /// Fresh weights, distributed as `PyTorch` initialises the same layers.
    pub fn initialize(&self, rng: &mut impl Rng) -> Result<Weights> {
        let mut source = Initializer::new(rng);
        self.build(&mut source)?;
        Ok(source.into_weights())
    }

    /// Checks that a file lists all tensors of this model, without reading any.
    ///
    /// Returns the number of values in them.
    pub fn check_file(&self, file: &WeightsFile<'_>) -> Result<usize> {
        current(file).check_values(|source| Networks::build(self, source))
    }

    /// Reads the tensors of this model as `f32`, and no others, once all have been checked.
    pub fn load(&self, file: &WeightsFile<'_>, device: &Device) -> Result<Weights> {
        current(file).load_implied(DType::F32, device, |source| Networks::build(self, source))
    }

    /// Pixels per latent on each side.
    pub fn factor(&self) -> usize {
        1 << self
            .block_out_channels
            .len()
            .saturating_sub(1)
            .min(MOST_HALVINGS)
    }

    /// Asks `source` for every tensor.
    pub(crate) fn build(&self, source: &mut dyn Source) -> Result<()> {
        Networks::build(self, source).map(drop)
    }

    fn check(&self) -> Result<()> {
        if self.block_out_channels.contains(&0) || self.block_out_channels.len() > MAX_LEVELS {
            let channels = &self.block_out_channels;
            return Err(Error::InvalidConfig(format!(
                "levels of {channels:?} channels"
            )));
        }
        for (field, inert) in INERT {
            if let Some(value) = self.extra.get(*field).map(ToString::to_string)
                && !inert.contains(&value.as_str())
            {
                return Err(Error::Unsupported { what: field, value });
            }
        }
        let blocks = [
            (&self.down_block_types, "DownEncoderBlock2D"),
            (&self.up_block_types, "UpDecoderBlock2D"),
        ];
        for (names, known) in blocks {
            if let Some(value) = names.iter().find(|name| *name != known) {
                return Err(Error::Unsupported {
                    what: "block type",
                    value: value.clone(),
                });
            }
            if names.len() != self.block_out_channels.len() || names.is_empty() {
                let channels = &self.block_out_channels;
                return Err(Error::InvalidConfig(format!(
                    "{names:?} for channels {channels:?}"
                )));
            }
        }
        Ok(())
    }
}

/// Two convolutions with a shortcut.
#[derive(Clone, Debug)]
struct Residual {
    norm1: GroupNorm,
    conv1: Conv2d,
    norm2: GroupNorm,
    conv2: Conv2d,
    shortcut: Option<Conv2d>,
}

impl Residual {
    fn new(mut scope: Scope<'_>, inputs: usize, outputs: usize, groups: usize) -> Result<Self> {
        let shortcut = (inputs != outputs).then(|| {
            Conv2d::new(
                scope.child("conv_shortcut"),
                ConvShape::one(inputs, outputs),
            )
        });
        Ok(Self {
            shortcut: shortcut.transpose()?,
            norm1: GroupNorm::new(scope.child("norm1"), inputs, groups, EPSILON)?,
            conv1: Conv2d::new(scope.child("conv1"), ConvShape::three(inputs, outputs))?,
            norm2: GroupNorm::new(scope.child("norm2"), outputs, groups, EPSILON)?,
            conv2: Conv2d::new(scope.child("conv2"), ConvShape::three(outputs, outputs))?,
        })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let ys = self.conv1.forward(&self.norm1.forward_silu(xs)?)?;
        let ys = self.conv2.forward(&self.norm2.forward_silu(&ys)?)?;
        Ok(match &self.shortcut {
            Some(shortcut) => ops::add(&shortcut.forward(xs)?, &ys)?,
            None => ops::add(xs, &ys)?,
        })
    }
}

/// Residual blocks around single-headed attention over all pixels.
#[derive(Clone, Debug)]
struct Middle {
    first: Residual,
    norm: GroupNorm,
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
    last: Residual,
}

impl Middle {
    fn new(mut scope: Scope<'_>, channels: usize, groups: usize) -> Result<Self> {
        let first = Residual::new(scope.child("resnets.0"), channels, channels, groups)?;
        let last = Residual::new(scope.child("resnets.1"), channels, channels, groups)?;
        let mut attention = scope.child("attentions.0");
        let mut linear =
            |name: &str| Linear::new(attention.child(name), channels, channels, Bias::With);
        let (q, k) = (linear("to_q")?, linear("to_k")?);
        let (v, out) = (linear("to_v")?, linear("to_out.0")?);
        let norm = GroupNorm::new(attention.child("group_norm"), channels, groups, EPSILON)?;
        Ok(Self {
            first,
            norm,
            q,
            k,
            v,
            out,
            last,
        })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let xs = self.first.forward(xs)?;
        let (_, _, height, width) = xs.dims4()?;
        let tokens = ops::to_tokens(&self.norm.forward(&xs)?)?;
        let (q, k) = (self.q.forward(&tokens)?, self.k.forward(&tokens)?);
        let attended = ops::attention(&q, &k, &self.v.forward(&tokens)?, 1, Mask::None)?;
        let attended = ops::to_image(&self.out.forward(&attended)?, height, width)?;
        self.last.forward(&ops::add(&attended, &xs)?)
    }
}

/// Residual blocks of one level, and the convolution that changes the resolution.
#[derive(Clone, Debug)]
struct Block {
    residuals: Vec<Residual>,
    resample: Option<Conv2d>,
}

#[derive(Clone, Debug)]
struct Encoder {
    conv_in: Conv2d,
    blocks: Vec<Block>,
    middle: Middle,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Encoder {
    fn new(mut scope: Scope<'_>, config: &KlConfig) -> Result<Self> {
        let (channels, groups) = (&config.block_out_channels, config.norm_num_groups);
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let mut blocks = Vec::new();
        for (level, outputs) in channels.iter().copied().enumerate() {
            let mut block = scope.child(format_args!("down_blocks.{level}"));
            let inputs = channels[level.saturating_sub(1)];
            let residuals = residuals(
                &mut block,
                (inputs, outputs),
                config.layers_per_block,
                groups,
            )?;
            let halve = ConvShape {
                stride: 2,
                ..ConvShape::three(outputs, outputs)
            };
            let resample = (level + 1 < channels.len())
                .then(|| Conv2d::new(block.child("downsamplers.0.conv"), halve));
            blocks.push(Block {
                residuals,
                resample: resample.transpose()?,
            });
        }
        let moments = ConvShape::three(last, 2 * config.latent_channels);
        Ok(Self {
            conv_in: Conv2d::new(
                scope.child("conv_in"),
                ConvShape::three(config.in_channels, first),
            )?,
            blocks,
            middle: Middle::new(scope.child("mid_block"), last, groups)?,
            norm_out: GroupNorm::new(scope.child("conv_norm_out"), last, groups, EPSILON)?,
            conv_out: Conv2d::new(scope.child("conv_out"), moments)?,
        })
    }

    fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let mut xs = self.conv_in.forward(pixels)?;
        for block in &self.blocks {
            for residual in &block.residuals {
                xs = residual.forward(&xs)?;
            }
            if let Some(downsample) = &block.resample {
                // Diffusers pads this convolution on the right and at the bottom only.
                xs = downsample.forward_padded_after(&xs)?;
            }
        }
        self.conv_out
            .forward(&self.norm_out.forward_silu(&self.middle.forward(&xs)?)?)
    }
}

#[derive(Clone, Debug)]
struct Decoder {
    conv_in: Conv2d,
    middle: Middle,
    blocks: Vec<Block>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Decoder {
    fn new(mut scope: Scope<'_>, config: &KlConfig) -> Result<Self> {
        let (channels, groups) = (&config.block_out_channels, config.norm_num_groups);
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let mut blocks = Vec::new();
        for (index, outputs) in channels.iter().copied().rev().enumerate() {
            let mut block = scope.child(format_args!("up_blocks.{index}"));
            let inputs = channels[(channels.len() - index).min(channels.len() - 1)];
            let count = config.layers_per_block + 1;
            let residuals = residuals(&mut block, (inputs, outputs), count, groups)?;
            let double = ConvShape::three(outputs, outputs);
            let resample = (index + 1 < channels.len())
                .then(|| Conv2d::new(block.child("upsamplers.0.conv"), double));
            blocks.push(Block {
                residuals,
                resample: resample.transpose()?,
            });
        }
        Ok(Self {
            conv_in: Conv2d::new(
                scope.child("conv_in"),
                ConvShape::three(config.latent_channels, last),
            )?,
            middle: Middle::new(scope.child("mid_block"), last, groups)?,
            blocks,
            norm_out: GroupNorm::new(scope.child("conv_norm_out"), first, groups, EPSILON)?,
            conv_out: Conv2d::new(
                scope.child("conv_out"),
                ConvShape::three(first, config.out_channels),
            )?,
        })
    }

    fn forward(&self, latents: &Tensor) -> Result<Tensor> {
        let mut xs = self.middle.forward(&self.conv_in.forward(latents)?)?;
        for block in &self.blocks {
            for residual in &block.residuals {
                xs = residual.forward(&xs)?;
            }
            if let Some(upsample) = &block.resample {
                let (_, _, height, width) = xs.dims4()?;
                let doubled = ops::upsample_nearest(&xs, 2 * height, 2 * width)?;
                xs = upsample.forward(&doubled)?;
            }
        }
        self.conv_out.forward(&self.norm_out.forward_silu(&xs)?)
    }
}

fn residuals(
    block: &mut Scope<'_>,
    (inputs, outputs): (usize, usize),
    count: usize,
    groups: usize,
) -> Result<Vec<Residual>> {
    (0..count)
        .map(|index| {
            let inputs = if index == 0 { inputs } else { outputs };
            Residual::new(
                block.child(format_args!("resnets.{index}")),
                inputs,
                outputs,
                groups,
            )
        })
        .collect()
}

/// Everything that has weights.
#[derive(Clone, Debug)]
struct Networks {
    encoder: Encoder,
    quantize: Conv2d,
    unquantize: Conv2d,
    decoder: Decoder,
}

impl Networks {
    fn build(config: &KlConfig, source: &mut dyn Source) -> Result<Self> {
        config.check()?;
        let mut root = Scope::root(source);
        let latent = config.latent_channels;
        Ok(Self {
            encoder: Encoder::new(root.child("encoder"), config)?,
            quantize: Conv2d::new(
                root.child("quant_conv"),
                ConvShape::one(2 * latent, 2 * latent),
            )?,
            unquantize: Conv2d::new(
                root.child("post_quant_conv"),
                ConvShape::one(latent, latent),
            )?,
            decoder: Decoder::new(root.child("decoder"), config)?,
        })
    }
}

/// A variational autoencoder over images.
#[derive(Clone, Debug)]
pub struct AutoencoderKl {
    config: KlConfig,
    weights: Weights,
    networks: Box<Networks>,
}

/// Names of the attention's tensors in files written by old versions of diffusers.
const LEGACY: &[(&str, &str)] = &[
    (".attentions.0.query.", ".attentions.0.to_q."),
    (".attentions.0.key.", ".attentions.0.to_k."),
    (".attentions.0.value.", ".attentions.0.to_v."),
    (".attentions.0.proj_attn.", ".attentions.0.to_out.0."),
];

fn current_name(name: &str) -> String {
    LEGACY
        .iter()
        .fold(name.to_owned(), |name, (old, new)| name.replace(old, new))
}

/// A file under today's names.
fn current<'a>(file: &WeightsFile<'a>) -> WeightsFile<'a> {
    file.renamed(|name| Some(current_name(name)))
}

impl AutoencoderKl {
    /// Class name in `vae/config.json`.
    pub const CLASS: &'static str = "AutoencoderKL";

    /// Builds the model over `weights`; every tensor is checked for presence and shape.
    pub fn new(config: KlConfig, weights: &Weights) -> Result<Self> {
        let weights: Weights = weights
            .iter()
            .map(|(name, tensor)| (current_name(name), tensor.clone()))
            .collect();
        let networks = Box::new(Networks::build(&config, &mut Reader(&weights))?);
        Ok(Self {
            config,
            weights,
            networks,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &KlConfig {
        &self.config
    }

    /// The weights, under today's names.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The mode of the posterior, scaled. `pixels: [b, 3, h, w]` in `[-1, 1]`.
    pub fn encode(&self, pixels: &Tensor) -> Result<Tensor> {
        let (mean, _) = self.posterior(pixels)?;
        Ok((mean * self.config.scaling_factor)?)
    }

    /// A draw from the posterior, scaled.
    pub fn encode_sample(&self, pixels: &Tensor, rng: &mut impl Rng) -> Result<Tensor> {
        let (mean, log_variance) = self.posterior(pixels)?;
        let (low, high) = LOG_VARIANCE;
        let deviation = (log_variance.clamp(low, high)? * 0.5)?.exp()?;
        let noise = noise::gaussian(rng, mean.shape().clone(), mean.device())?;
        let noise = ops::cast(&noise, mean.dtype())?;
        Ok(((mean + (deviation * noise)?)? * self.config.scaling_factor)?)
    }

    /// Images of scaled latents, not clamped. `latents: [b, c, h/f, w/f]`.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        let latents = (latents.to_dtype(DType::F32)? / self.config.scaling_factor)?;
        self.networks
            .decoder
            .forward(&self.networks.unquantize.forward(&latents)?)
    }

    fn posterior(&self, pixels: &Tensor) -> Result<(Tensor, Tensor)> {
        let factor = 1_usize << (self.config.block_out_channels.len() - 1);
        let (_, channels, height, width) = pixels.dims4()?;
        if channels != self.config.in_channels || height % factor + width % factor != 0 {
            let dims = pixels.dims();
            return Err(Error::InvalidArgument(format!(
                "pixels {dims:?} for an autoencoder with sides divisible by {factor}"
            )));
        }
        let moments = self
            .networks
            .quantize
            .forward(&self.networks.encoder.forward(pixels)?)?;
        let latent = self.config.latent_channels;
        Ok((
            moments.narrow(1, 0, latent)?,
            moments.narrow(1, latent, latent)?,
        ))
    }
}
