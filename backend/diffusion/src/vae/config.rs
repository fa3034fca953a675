//! What a `vae/config.json` says, before any weight is read.

use serde_json::Value;

use super::{AutoencoderKl, HaarConfig, HaarTransform, KlConfig};
use crate::{Error, Result};

/// Configuration of an autoencoder, chosen by the class name in `vae/config.json`.
#[derive(Clone, Debug)]
pub enum AutoencoderConfig {
    /// Of a [`HaarTransform`], which has no weights.
    Haar(HaarConfig),
    /// Of an [`AutoencoderKl`].
    Kl(KlConfig),
}

impl AutoencoderConfig {
    /// Parses a `vae/config.json`.
    pub fn parse(config: &[u8]) -> Result<Self> {
        let json = |source| Error::Json {
            file: "vae/config.json".to_owned(),
            source,
        };
        let config: Value = serde_json::from_slice(config).map_err(json)?;
        let class = config.get("_class_name").and_then(Value::as_str);
        match class.unwrap_or("").to_owned().as_str() {
            HaarTransform::CLASS => Ok(Self::Haar(serde_json::from_value(config).map_err(json)?)),
            AutoencoderKl::CLASS => Ok(Self::Kl(serde_json::from_value(config).map_err(json)?)),
            other => Err(Error::Unsupported {
                what: "autoencoder class",
                value: other.to_owned(),
            }),
        }
    }

    /// Channels of the latents.
    pub fn latent_channels(&self) -> Result<usize> {
        Ok(match self {
            Self::Haar(config) => HaarTransform::new(config.clone())?.latent_channels(),
            Self::Kl(config) => config.latent_channels,
        })
    }

    /// Pixels per latent on each side.
    pub fn factor(&self) -> Result<usize> {
        Ok(match self {
            Self::Haar(config) => HaarTransform::new(config.clone())?.factor(),
            Self::Kl(config) => config.factor(),
        })
    }
}
