//! The denoiser: a trainable `UNet2DConditionModel` with diffusers' tensor names.
//!
//! Every operation on the path from the weights to the prediction has a backward pass. Refuses
//! block types and options that it does not compute exactly as diffusers does.

mod blocks;
mod conditions;
mod config;
pub(crate) mod cost;
mod embedding;
mod observe;

use candle_core::{DType, Device, Tensor};
use rand::Rng;

use self::{
    blocks::{Residual, Seen, Sizes, Transformer},
    config::Level,
    embedding::{Embedding, Sinusoids},
};
pub use self::{
    conditions::{AddedConditions, Conditions},
    config::{PerLevel, UNetConfig},
    observe::{AttentionObserver, CrossAttention},
};
use crate::{
    Error, Result,
    checkpoint::{Checkpoints, Memory},
    nn::{Conv2d, ConvShape, GroupNorm, Initializer, Reader, Scope, Source},
    ops,
    weights::{Weights, WeightsFile},
};

impl UNetConfig {
    /// Fresh weights, distributed as `PyTorch` initialises the same layers.
    pub fn initialize(&self, rng: &mut impl Rng) -> Result<Weights> {
        let mut source = Initializer::new(rng);
        UNet::build(self.clone(), &mut source)?;
        Ok(source.into_weights())
    }

    /// Checks that a file lists all tensors of this model, without reading any.
    ///
    /// Returns the number of values in them.
    pub fn check_file(&self, file: &WeightsFile<'_>) -> Result<usize> {
        file.check_values(|source| UNet::build(self.clone(), source))
    }

    /// Reads the tensors of this model as `f32`, and no others, once all have been checked.
    pub fn load(&self, file: &WeightsFile<'_>, device: &Device) -> Result<Weights> {
        file.load_implied(DType::F32, device, |source| {
            UNet::build(self.clone(), source)
        })
    }
}

/// A residual block, and the attention behind it at levels that have one.
#[derive(Clone, Debug)]
struct Stage {
    residual: Residual,
    attention: Option<Transformer>,
}

impl Stage {
    /// With a skip, its channels follow those of `xs`.
    fn forward(
        &self,
        xs: &Tensor,
        skip: Option<&Tensor>,
        (time, seen): (&Tensor, &Seen),
        memory: Memory<'_>,
    ) -> Result<Tensor> {
        let ys = match skip {
            None => self.residual.run(xs, time, memory)?,
            Some(skip) => {
                let residual = self.residual.clone();
                memory.run(&[xs, skip, time], move |inputs| {
                    let joined = ops::concat_channels(&inputs[0], &inputs[1])?;
                    residual.forward(&joined, &inputs[2])
                })?
            }
        };
        match &self.attention {
            Some(attention) => attention.run(&ys, seen, memory),
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
    time: Embedding,
    added: Option<Embedding>,
    conv_in: Conv2d,
    down: Vec<Block>,
    middle: (Residual, Transformer, Residual),
    up: Vec<Block>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
    observer: Option<AttentionObserver>,
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

    /// The same model whose cross-attention learns nothing from the context's first token.
    ///
    /// Keys and values of that token, which every prompt starts with, keep their values and pass no gradient on: to
    /// the projections' weights or to the context. Custom Diffusion (Kumari et al., arXiv 2212.04488) trains so in
    /// its authors' code and in diffusers.
    #[must_use]
    pub fn holding_first_token(mut self) -> Self {
        let stages = self.down.iter_mut().chain(&mut self.up);
        let stages = stages.flat_map(|block| &mut block.stages);
        let attentions = stages.filter_map(|stage| stage.attention.as_mut());
        attentions.for_each(Transformer::hold_first);
        self.middle.1.hold_first();
        self
    }

    /// The same model over the same storage, whose cross-attention `observer` sees.
    ///
    /// It hears of [`UNet::forward`] alone, and costs the scores of every cross-attention once more.
    #[must_use]
    pub fn observed(&self, observer: AttentionObserver) -> Self {
        Self {
            observer: Some(observer),
            ..self.clone()
        }
    }

    pub(crate) fn build(config: UNetConfig, source: &mut dyn Source) -> Result<Self> {
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
            time: Embedding::new(root.child("time_embedding"), first.channels, time)?,
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
            added: config
                .added_channels()
                .map(|inputs| Embedding::new(root.child("add_embedding"), inputs, time))
                .transpose()?,
            observer: None,
            config,
        })
    }

    /// Predicts noise or velocity.
    ///
    /// `latents: [b, c, h, w]` of any height and width, `timesteps: [b]` (`f32`), `conditions` of
    /// `b` rows; result `[b, o, h, w]`. Gradient flows to: `latents`, the conditions' context and
    /// pooled text, all weights.
    ///
    /// Computes in the dtype of `latents` (`f32` or `bf16`), in which the result is too; sinusoids
    /// of the timesteps are `f32`, as in diffusers.
    pub fn forward(
        &self,
        latents: &Tensor,
        timesteps: &Tensor,
        conditions: &Conditions,
    ) -> Result<Tensor> {
        self.predict(latents, timesteps, conditions, Memory::Everything)
    }

    /// [`UNet::forward`] that remembers only what passes between blocks.
    ///
    /// Every residual block and every transformer is a segment. Gradients as with
    /// [`UNet::forward`], through [`Checkpoints::backward`].
    pub fn forward_checkpointed(
        &self,
        latents: &Tensor,
        timesteps: &Tensor,
        conditions: &Conditions,
        checkpoints: &Checkpoints,
    ) -> Result<Tensor> {
        let memory = Memory::Checkpoints(checkpoints);
        self.predict(latents, timesteps, conditions, memory)
    }

    fn predict(
        &self,
        latents: &Tensor,
        timesteps: &Tensor,
        conditions: &Conditions,
        memory: Memory<'_>,
    ) -> Result<Tensor> {
        self.check(latents, timesteps, conditions)?;
        let dtype = latents.dtype();
        let time = self.embed(timesteps, conditions, dtype)?;
        let observer = match memory {
            Memory::Everything => self.observer.clone(),
            // The backward pass would show every layer again.
            Memory::Checkpoints(_) => None,
        };
        let seen = Seen::new(conditions, dtype)?.observed(observer);
        let mut xs = self.conv_in.forward(latents)?;
        let mut skips = vec![xs.clone()];
        for block in &self.down {
            for stage in &block.stages {
                xs = stage.forward(&xs, None, (&time, &seen), memory)?;
                skips.push(xs.clone());
            }
            if let Some(downsample) = &block.resample {
                xs = downsample.forward(&xs)?;
                skips.push(xs.clone());
            }
        }
        xs = self.middle.0.run(&xs, &time, memory)?;
        xs = self.middle.1.run(&xs, &seen, memory)?;
        xs = self.middle.2.run(&xs, &time, memory)?;
        for block in &self.up {
            for stage in &block.stages {
                let skip = skips.pop().expect("as many skips as stages on the way up");
                xs = stage.forward(&xs, Some(&skip), (&time, &seen), memory)?;
            }
            if let Some(upsample) = &block.resample {
                let next = skips.last().expect("the level above left skips");
                let (_, _, height, width) = next.dims4()?;
                let upsample = upsample.clone();
                xs = memory.run(&[&xs], move |inputs| {
                    upsample.forward(&ops::upsample_nearest(&inputs[0], height, width)?)
                })?;
            }
        }
        let (norm, conv) = (self.norm_out.clone(), self.conv_out.clone());
        memory.run(&[&xs], move |inputs| {
            conv.forward(&norm.forward_silu(&inputs[0])?)
        })
    }

    fn check(&self, latents: &Tensor, timesteps: &Tensor, conditions: &Conditions) -> Result<()> {
        let (batch, channels, height, width) = latents.dims4()?;
        let (context_batch, _, context_channels) = conditions.context.dims3()?;
        let fits = channels == self.config.in_channels
            && height * width > 0
            && timesteps.dims() == [batch]
            && context_batch == batch
            && context_channels == self.config.cross_attention_dim
            && conditions.added.is_some() == self.added.is_some()
            && conditions.is_consistent();
        if fits {
            return Ok(());
        }
        Err(Error::InvalidArgument(format!(
            "latents {:?}, timesteps {:?}, context {:?}, mask {:?} and pooled text {:?} for {} channels, context of \
             {} channels, pooled text {}",
            latents.dims(),
            timesteps.dims(),
            conditions.context.dims(),
            conditions.mask.as_ref().map(Tensor::dims),
            conditions.added.as_ref().map(|added| added.pooled.dims()),
            self.config.in_channels,
            self.config.cross_attention_dim,
            if self.added.is_some() {
                "expected"
            } else {
                "not expected"
            },
        )))
    }

    /// The time embedding, with the activation that every residual block would apply first.
    fn embed(&self, timesteps: &Tensor, conditions: &Conditions, dtype: DType) -> Result<Tensor> {
        let waves = self.sinusoids(self.config.block_out_channels[0]);
        let mut time = self
            .time
            .forward(&ops::cast(&waves.of(timesteps)?, dtype)?)?;
        if let (Some(embedding), Some(added)) = (&self.added, &conditions.added) {
            let waves = self.sinusoids(self.config.addition_time_embed_dim.unwrap_or(0));
            let sizes = waves.of(&added.time_ids.flatten_all()?)?;
            let sizes = sizes.reshape((added.time_ids.dim(0)?, ()))?;
            let inputs = [ops::cast(&added.pooled, dtype)?, ops::cast(&sizes, dtype)?];
            let inputs = Tensor::cat(&inputs, 1)?;
            time = (time + embedding.forward(&inputs)?)?;
        }
        Ok(ops::activation(&time, ops::Activation::Silu)?)
    }

    fn sinusoids(&self, channels: usize) -> Sinusoids {
        Sinusoids {
            channels,
            cosines_first: self.config.flip_sin_to_cos,
            shift: self.config.freq_shift,
        }
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
