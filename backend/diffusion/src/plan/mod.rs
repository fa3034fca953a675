//! What a training step will take, before anything is allocated: memory, products, time.
//!
//! Counts come from configurations alone. Memory is that of our own graph: what its backward pass
//! keeps, gradients as candle accumulates them, weights, and running means. Time comes from one
//! number that is measured on the machine ([`Rate::measure`]); without it none is given.

mod memory;
mod presets;
mod rate;

use std::path::Path;

use candle_core::{DType, Tensor};
use serde::Serialize;

pub use self::{
    memory::Memory,
    presets::Preset,
    rate::{Rate, Trial},
};
use crate::{
    Result,
    nn::{self, Init, Source},
    optimizer::MomentPrecision,
    pipeline,
    text::TextConfig,
    unet::{
        UNet, UNetConfig,
        cost::{Pass, Segment, segments},
    },
    vae::AutoencoderConfig,
};

/// The models of a pipeline, by their configurations.
#[derive(Clone, Debug)]
pub struct Models {
    /// The denoiser.
    pub unet: UNetConfig,
    /// The text encoders, frozen.
    pub texts: Vec<TextConfig>,
    /// The autoencoder, frozen.
    pub vae: AutoencoderConfig,
}

/// Which weights are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trained {
    /// All of the denoiser.
    All,
    /// Low-rank adapters of this rank on the attention's projections.
    LowRank(usize),
}

/// How a step is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setup {
    /// Rows of one pass.
    pub batch: usize,
    /// Height and width of the latents.
    pub latent: (usize, usize),
    /// Tokens of a prompt.
    pub tokens: usize,
    /// What activations are kept in: `F32` or `BF16`.
    pub compute: DType,
    /// Whether blocks compute their activations again in the backward pass.
    pub checkpointing: bool,
    /// How the optimiser keeps its running means.
    pub moments: MomentPrecision,
    /// Which weights are trained.
    pub trained: Trained,
    /// A frozen copy of the denoiser, and what it is kept in.
    pub teacher: Option<DType>,
    /// What the frozen text encoders and the autoencoder are kept in, if they stay in memory.
    pub frozen: Option<DType>,
}

impl Default for Setup {
    /// One row of Stable Diffusion 1.x at 512 pixels, everything in `f32`, nothing beside it.
    fn default() -> Self {
        Self {
            batch: 1,
            latent: (64, 64),
            tokens: 77,
            compute: DType::F32,
            checkpointing: false,
            moments: MomentPrecision::Full,
            trained: Trained::All,
            teacher: None,
            frozen: None,
        }
    }
}

/// What a training step will take.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Values of the denoiser's weights.
    pub unet_values: usize,
    /// Values that are trained.
    pub trained_values: usize,
    /// Peak memory by what holds it, in bytes.
    pub memory: Memory,
    /// Multiply-adds of one step: forward, backward, and what is computed twice.
    pub products: f64,
}

/// Plans a training step.
pub fn plan(models: &Models, setup: &Setup) -> Result<Plan> {
    let segments = segments(&models.unet, setup.pass())?;
    let unet_values = models.unet_values()?;
    let trained_values = match setup.trained {
        Trained::All => unet_values,
        Trained::LowRank(rank) => models.low_rank_values(rank)?,
    };
    let values = memory::Values {
        unet: unet_values,
        trained: trained_values,
        frozen: models.frozen_values()?,
    };
    let forward: usize = segments.iter().map(|segment| segment.products).sum();
    // The backward pass is twice the forward pass; frozen weights spare their own gradients.
    let backward = match setup.trained {
        Trained::All => 2.0,
        Trained::LowRank(_) => 1.0,
    };
    let again = f64::from(u8::from(setup.checkpointing));
    Ok(Plan {
        unet_values,
        trained_values,
        memory: Memory::of(setup, &segments, &values),
        products: forward as f64 * (1.0 + backward + again),
    })
}

impl Setup {
    fn pass(&self) -> Pass {
        Pass {
            batch: self.batch,
            height: self.latent.0,
            width: self.latent.1,
            tokens: self.tokens,
        }
    }
}

impl Models {
    /// Reads the configurations of a folder in the diffusers layout, and none of its weights.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self> {
        pipeline::models(folder.as_ref())
    }

    /// Values of the denoiser's weights.
    pub fn unet_values(&self) -> Result<usize> {
        count(
            |source| UNet::build(self.unet.clone(), source).map(drop),
            all,
        )
    }

    /// Values of low-rank adapters on the attention's projections.
    fn low_rank_values(&self, rank: usize) -> Result<usize> {
        let targets = [".to_q.", ".to_k.", ".to_v.", ".to_out.0."];
        count(
            |source| UNet::build(self.unet.clone(), source).map(drop),
            |name, shape| {
                let hit = targets.iter().any(|target| name.contains(target));
                if hit && shape.len() == 2 {
                    rank * (shape[0] + shape[1])
                } else {
                    0
                }
            },
        )
    }

    /// Values of the text encoders' weights.
    pub fn text_values(&self) -> Result<usize> {
        let texts = self.texts.iter();
        texts
            .map(|text| count(|source| text.build(source), all))
            .sum()
    }

    /// Values of the text encoders and the autoencoder.
    fn frozen_values(&self) -> Result<usize> {
        let vae = match &self.vae {
            AutoencoderConfig::Kl(vae) => count(|source| vae.build(source), all)?,
            AutoencoderConfig::Haar(_) => 0,
        };
        Ok(self.text_values()? + vae)
    }
}

/// Every value of a tensor.
fn all(_: &str, shape: &[usize]) -> usize {
    shape.iter().product()
}

/// Counts what a model asks for, without making any of it.
struct Counter<F> {
    size: F,
    total: usize,
}

impl<F: Fn(&str, &[usize]) -> usize> Source for Counter<F> {
    fn tensor(&mut self, name: &str, shape: &[usize], _init: Init) -> Result<Tensor> {
        self.total += (self.size)(name, shape);
        nn::stand_in(shape)
    }
}

fn count(
    build: impl FnOnce(&mut dyn Source) -> Result<()>,
    size: impl Fn(&str, &[usize]) -> usize,
) -> Result<usize> {
    let mut counter = Counter { size, total: 0 };
    build(&mut counter)?;
    Ok(counter.total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_models_have_their_published_sizes() {
        // Parameters as diffusers counts them: 859.52 M, 865.91 M and 2567.46 M.
        let values = |preset: Preset| preset.models().unet_values().unwrap();
        assert_eq!(values(Preset::Sd1), 859_520_964);
        assert_eq!(values(Preset::Sd2), 865_910_724);
        assert_eq!(values(Preset::Sdxl), 2_567_463_684);
    }

    #[test]
    fn frozen_parts_have_their_published_sizes() {
        // CLIP ViT-L 123.06 M, OpenCLIP bigG 694.66 M, autoencoder 83.65 M.
        let frozen = |preset: Preset| preset.models().frozen_values().unwrap();
        assert_eq!(frozen(Preset::Sd1), 123_060_480 + 83_653_863);
        assert_eq!(frozen(Preset::Sdxl), 123_060_480 + 694_659_840 + 83_653_863);
    }

    #[test]
    fn every_saving_saves() {
        let models = Preset::Sd1.models();
        let total = |setup: Setup| plan(&models, &setup).unwrap().memory.total();
        let full = total(Setup::default());
        let checkpointing = Setup {
            checkpointing: true,
            ..Setup::default()
        };
        let half = Setup {
            compute: DType::BF16,
            batch: 8,
            ..Setup::default()
        };
        let coded = Setup {
            moments: MomentPrecision::EightBit,
            ..Setup::default()
        };
        let low_rank = Setup {
            trained: Trained::LowRank(8),
            ..Setup::default()
        };
        assert!(total(checkpointing) < full && total(coded) < full && total(low_rank) < full);
        assert!(
            total(half)
                < total(Setup {
                    compute: DType::F32,
                    ..half
                })
        );
    }
}
