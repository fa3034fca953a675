//! The denoiser: a trainable `UNet2DConditionModel` with diffusers' tensor names.
//!
//! Every operation on the path from the weights to the prediction has a backward pass. Refuses
//! block types and options that it does not compute exactly as diffusers does.

mod blocks;
mod config;

use candle_core::{DType, Tensor};
use rand::Rng;

pub use self::config::{PerLevel, UNetConfig};
use self::{
    blocks::{Residual, Sizes, Transformer},
    config::Level,
};
use crate::{
    Error, Result,
    nn::{Bias, Conv2d, ConvShape, GroupNorm, Initializer, Linear, Reader, Scope, Source},
    ops::{self, Activation},
    weights::Weights,
};

/// Longest period of the time embedding (Ho et al., arXiv 2006.11239, appendix B).
const MAX_PERIOD: f64 = 10_000.0;

impl UNetConfig {
    /// Fresh weights, distributed as `PyTorch` initialises the same layers.
    pub fn initialize(&self, rng: &mut impl Rng) -> Result<Weights> {
        let mut source = Initializer::new(rng);
        UNet::build(self.clone(), &mut source)?;
        Ok(source.into_weights())
    }
}

/// A residual block, and the attention behind it at levels that have one.
#[derive(Clone, Debug)]
struct Stage {
    residual: Residual,
    attention: Option<Transformer>,
}

impl Stage {
    fn forward(&self, xs: &Tensor, time: &Tensor, context: &Tensor) -> Result<Tensor> {
        let ys = self.residual.forward(xs, time)?;
        match &self.attention {
            Some(attention) => attention.forward(&ys, context),
            None => Ok(ys),
        }
    }
}

/// One level, on the way down or up; `resample` leads to the next level.
#[derive(Clone, Debug)]
struct Block {
    stages: Vec<Stage>,
    resample: Option<Conv2d>,
}

/// A conditional U-Net.
#[derive(Clone, Debug)]
pub struct UNet {
    config: UNetConfig,
    time1: Linear,
    time2: Linear,
    conv_in: Conv2d,
    down: Vec<Block>,
    middle: (Residual, Transformer, Residual),
    up: Vec<Block>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl UNet {
    /// Builds the model over `weights`, whose storage it shares.
    ///
    /// Every tensor that the configuration implies must be present with its shape; tensors that
    /// it does not imply are ignored.
    pub fn new(config: UNetConfig, weights: &Weights) -> Result<Self> {
        Self::build(config, &mut Reader(weights))
    }

    /// The configuration that the model was built from.
    pub fn config(&self) -> &UNetConfig {
        &self.config
    }

    fn build(config: UNetConfig, source: &mut dyn Source) -> Result<Self> {
        let levels = config.levels()?;
        let mut root = Scope::root(source);
        let (first, last) = (levels[0], levels[levels.len() - 1]);
        let time = config.time_channels();
        let middle_sizes = sizes(&config, last);
        let mut middle = root.child("mid_block");
        let middle = (
            Residual::new(middle.child("resnets.0"), last.channels, middle_sizes)?,
            Transformer::new(middle.child("attentions.0"), middle_sizes)?,
            Residual::new(middle.child("resnets.1"), last.channels, middle_sizes)?,
        );
        Ok(Self {
            time1: Linear::new(
                root.child("time_embedding.linear_1"),
                first.channels,
                time,
                Bias::With,
            )?,
            time2: Linear::new(
                root.child("time_embedding.linear_2"),
                time,
                time,
                Bias::With,
            )?,
            conv_in: Conv2d::new(
                root.child("conv_in"),
                ConvShape::three(config.in_channels, first.channels),
            )?,
            down: (0..levels.len())
                .map(|level| down_block(&mut root, &config, &levels, level))
                .collect::<Result<_>>()?,
            middle,
            up: (0..levels.len())
                .map(|index| up_block(&mut root, &config, &levels, index))
                .collect::<Result<_>>()?,
            norm_out: GroupNorm::new(
                root.child("conv_norm_out"),
                first.channels,
                config.norm_num_groups,
                epsilon(&config),
            )?,
            conv_out: Conv2d::new(
                root.child("conv_out"),
                ConvShape::three(first.channels, config.out_channels),
            )?,
            config,
        })
    }

    /// Predicts noise or velocity.
    ///
    /// `latents: [b, c, h, w]`, `timesteps: [b]` (`f32`), `context: [b, s, d]`; result
    /// `[b, o, h, w]`. Height and width must be divisible by 2 per level below the first.
    /// Gradient flows to: `latents`, `context`, all weights.
    pub fn forward(
        &self,
        latents: &Tensor,
        timesteps: &Tensor,
        context: &Tensor,
    ) -> Result<Tensor> {
        self.check(latents, timesteps, context)?;
        let time = self.time_embedding(timesteps)?;
        let mut xs = self.conv_in.forward(latents)?;
        let mut skips = vec![xs.clone()];
        for block in &self.down {
            for stage in &block.stages {
                xs = stage.forward(&xs, &time, context)?;
                skips.push(xs.clone());
            }
            if let Some(downsample) = &block.resample {
                xs = downsample.forward(&xs)?;
                skips.push(xs.clone());
            }
        }
        xs = self.middle.0.forward(&xs, &time)?;
        xs = self.middle.1.forward(&xs, context)?;
        xs = self.middle.2.forward(&xs, &time)?;
        for block in &self.up {
            for stage in &block.stages {
                let skip = skips.pop().expect("as many skips as stages on the way up");
                xs = stage.forward(&Tensor::cat(&[&xs, &skip], 1)?, &time, context)?;
            }
            if let Some(upsample) = &block.resample {
                xs = upsample.forward(&ops::upsample_nearest2x(&xs)?)?;
            }
        }
        self.conv_out.forward(&self.norm_out.forward_silu(&xs)?)
    }

    fn check(&self, latents: &Tensor, timesteps: &Tensor, context: &Tensor) -> Result<()> {
        let (batch, channels, height, width) = latents.dims4()?;
        let (context_batch, _, context_channels) = context.dims3()?;
        let factor = 1_usize << (self.down.len() - 1);
        let fits = channels == self.config.in_channels
            && timesteps.dims() == [batch]
            && context_batch == batch
            && context_channels == self.config.cross_attention_dim
            && height.is_multiple_of(factor)
            && width.is_multiple_of(factor);
        if fits {
            return Ok(());
        }
        Err(Error::InvalidArgument(format!(
            "latents {:?}, timesteps {:?} and context {:?} for {} channels, sides divisible by \
             {factor}, context of {} channels",
            latents.dims(),
            timesteps.dims(),
            context.dims(),
            self.config.in_channels,
            self.config.cross_attention_dim,
        )))
    }

    /// Sinusoids of the timestep through two layers, with the activation that every residual
    /// block would apply first.
    fn time_embedding(&self, timesteps: &Tensor) -> Result<Tensor> {
        let half = self.config.block_out_channels[0] / 2;
        let span = half as f64 - self.config.freq_shift;
        let frequency = |index: usize| (-MAX_PERIOD.ln() * index as f64 / span).exp();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "tables are f32, as in diffusers"
        )]
        let frequencies: Vec<f32> = (0..half).map(|index| frequency(index) as f32).collect();
        let frequencies = Tensor::from_vec(frequencies, (1, half), timesteps.device())?;
        let angles = timesteps
            .to_dtype(DType::F32)?
            .unsqueeze(1)?
            .broadcast_mul(&frequencies)?;
        let (sines, cosines) = (angles.sin()?, angles.cos()?);
        let waves = if self.config.flip_sin_to_cos {
            [cosines, sines]
        } else {
            [sines, cosines]
        };
        let hidden = self.time1.forward(&Tensor::cat(&waves, 1)?)?;
        let hidden = self
            .time2
            .forward(&ops::activation(&hidden, Activation::Silu)?)?;
        Ok(ops::activation(&hidden, Activation::Silu)?)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "an epsilon of f32 arithmetic"
)]
fn epsilon(config: &UNetConfig) -> f32 {
    config.norm_eps as f32
}

fn sizes(config: &UNetConfig, level: Level) -> Sizes {
    Sizes {
        channels: level.channels,
        heads: level.heads,
        depth: level.depth,
        time_channels: config.time_channels(),
        context_channels: config.cross_attention_dim,
        groups: config.norm_num_groups,
        epsilon: epsilon(config),
        linear_projection: config.use_linear_projection,
    }
}

/// A stage of `block`, with an attention where the level has one.
fn stage(
    block: &mut Scope<'_>,
    index: usize,
    inputs: usize,
    sizes: Sizes,
    attends: bool,
) -> Result<Stage> {
    let residual = Residual::new(block.child(format_args!("resnets.{index}")), inputs, sizes)?;
    let attention =
        attends.then(|| Transformer::new(block.child(format_args!("attentions.{index}")), sizes));
    Ok(Stage {
        residual,
        attention: attention.transpose()?,
    })
}

fn down_block(
    root: &mut Scope<'_>,
    config: &UNetConfig,
    levels: &[Level],
    level: usize,
) -> Result<Block> {
    let Level {
        channels,
        attends_down,
        ..
    } = levels[level];
    let mut block = root.child(format_args!("down_blocks.{level}"));
    let stages = (0..config.layers_per_block)
        .map(|index| {
            let inputs = if index > 0 {
                channels
            } else {
                levels[level.saturating_sub(1)].channels
            };
            stage(
                &mut block,
                index,
                inputs,
                sizes(config, levels[level]),
                attends_down,
            )
        })
        .collect::<Result<_>>()?;
    let halve = ConvShape {
        stride: 2,
        ..ConvShape::three(channels, channels)
    };
    let resample = (level + 1 < levels.len())
        .then(|| Conv2d::new(block.child("downsamplers.0.conv"), halve))
        .transpose()?;
    Ok(Block { stages, resample })
}

fn up_block(
    root: &mut Scope<'_>,
    config: &UNetConfig,
    levels: &[Level],
    index: usize,
) -> Result<Block> {
    let level = levels.len() - 1 - index;
    let Level {
        channels,
        attends_up,
        ..
    } = levels[level];
    let below = levels[(level + 1).min(levels.len() - 1)].channels;
    let above = levels[level.saturating_sub(1)].channels;
    let mut block = root.child(format_args!("up_blocks.{index}"));
    let stages = (0..=config.layers_per_block)
        .map(|layer| {
            let previous = if layer == 0 { below } else { channels };
            // The last skip of a level was made by the level above, before its own blocks.
            let skip = if layer == config.layers_per_block {
                above
            } else {
                channels
            };
            let sizes = sizes(config, levels[level]);
            stage(&mut block, layer, previous + skip, sizes, attends_up)
        })
        .collect::<Result<_>>()?;
    let double = ConvShape::three(channels, channels);
    let resample = (level > 0)
        .then(|| Conv2d::new(block.child("upsamplers.0.conv"), double))
        .transpose()?;
    Ok(Block { stages, resample })
}
