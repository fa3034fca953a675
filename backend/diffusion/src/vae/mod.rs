//! Autoencoders between pixels and latents: a fixed Haar transform and `AutoencoderKL`.
//!
//! Both are frozen here; gradients flow through them to their input, not to their weights.

mod config;
mod haar;
mod kl;

use candle_core::Tensor;
use rand::Rng;
use serde_json::Value;

pub use self::{
    config::AutoencoderConfig,
    haar::{HaarConfig, HaarTransform},
    kl::{AutoencoderKl, KlConfig},
};
use crate::{Error, Result, weights::Weights};

/// An autoencoder, chosen by the class name in `vae/config.json`.
#[derive(Clone, Debug)]
pub enum Autoencoder {
    /// A fixed invertible transform without weights.
    Haar(HaarTransform),
    /// A learned variational autoencoder.
    Kl(AutoencoderKl),
}

impl Autoencoder {
    /// Builds the autoencoder; `weights` is asked only if the class has weights.
    pub fn new(
        config: AutoencoderConfig,
        weights: impl FnOnce(&KlConfig) -> Result<Weights>,
    ) -> Result<Self> {
        Ok(match config {
            AutoencoderConfig::Haar(config) => Self::Haar(HaarTransform::new(config)?),
            AutoencoderConfig::Kl(config) => {
                let weights = weights(&config)?;
                Self::Kl(AutoencoderKl::new(config, &weights)?)
            }
        })
    }

    /// The class name in the configuration.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Haar(_) => HaarTransform::CLASS,
            Self::Kl(_) => AutoencoderKl::CLASS,
        }
    }

    /// The configuration as it goes into `vae/config.json`, without the class name.
    pub fn config(&self) -> Result<Value> {
        let json = |source| Error::Json {
            file: "vae/config.json".to_owned(),
            source,
        };
        match self {
            Self::Haar(haar) => serde_json::to_value(haar.config()).map_err(json),
            Self::Kl(kl) => serde_json::to_value(kl.config()).map_err(json),
        }
    }

    /// The weights, where the class has any.
    pub fn weights(&self) -> Option<&Weights> {
        match self {
            Self::Haar(_) => None,
            Self::Kl(kl) => Some(kl.weights()),
        }
    }

    /// Channels of the latents.
    pub fn latent_channels(&self) -> usize {
        match self {
            Self::Haar(haar) => haar.latent_channels(),
            Self::Kl(kl) => kl.config().latent_channels,
        }
    }

    /// Pixels per latent on each side.
    pub fn factor(&self) -> usize {
        match self {
            Self::Haar(haar) => haar.factor(),
            Self::Kl(kl) => kl.config().factor(),
        }
    }

    /// Latents of images; for a variational autoencoder the mode of the posterior.
    ///
    /// `pixels: [b, 3, h, w]` in `[-1, 1]`; result `[b, c, h/f, w/f]`, scaled as the model expects.
    pub fn encode(&self, pixels: &Tensor) -> Result<Tensor> {
        match self {
            Self::Haar(haar) => haar.encode(pixels),
            Self::Kl(kl) => kl.encode(pixels),
        }
    }

    /// Like [`Autoencoder::encode`], but drawn from the posterior where there is one.
    pub fn encode_sample(&self, pixels: &Tensor, rng: &mut impl Rng) -> Result<Tensor> {
        match self {
            Self::Haar(haar) => haar.encode(pixels),
            Self::Kl(kl) => kl.encode_sample(pixels, rng),
        }
    }

    /// Images of latents: `[b, 3, h, w]`, roughly in `[-1, 1]`, not clamped.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        match self {
            Self::Haar(haar) => haar.decode(latents),
            Self::Kl(kl) => kl.decode(latents),
        }
    }
}
