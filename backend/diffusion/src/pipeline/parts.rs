//! The parts of a model before any weight is read: configurations, listings, tokenizers.

use candle_core::Device;
use serde_json::Value;

use super::{Pipeline, SecondText, fit::Fit};
use crate::{
    Result,
    schedule::ScheduleConfig,
    text::{TextConfig, TextEncoder, Tokenizer},
    unet::UNetConfig,
    vae::{Autoencoder, AutoencoderConfig, HaarConfig, KlConfig},
    weights::WeightsFile,
};

/// An autoencoder; the Haar transform has no weights.
pub(crate) enum VaePart<'a> {
    Haar(HaarConfig),
    Kl(KlConfig, WeightsFile<'a>),
}

/// A text encoder and its tokenizer.
pub(crate) struct TextPart<'a> {
    pub(crate) config: TextConfig,
    pub(crate) file: WeightsFile<'a>,
    pub(crate) tokenizer: Tokenizer,
}

/// Everything that a pipeline is made of.
pub(crate) struct Parts<'a> {
    pub(crate) unet: (UNetConfig, WeightsFile<'a>),
    pub(crate) vae: VaePart<'a>,
    pub(crate) text: TextPart<'a>,
    pub(crate) second_text: Option<TextPart<'a>>,
    pub(crate) schedule: ScheduleConfig,
    pub(crate) model_index: Option<Value>,
}

/// Numbers of values of a model's parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) unet: usize,
    pub(crate) vae: usize,
    pub(crate) text: usize,
    pub(crate) second_text: Option<usize>,
}

impl VaePart<'_> {
    pub(crate) fn config(&self) -> AutoencoderConfig {
        match self {
            Self::Haar(config) => AutoencoderConfig::Haar(config.clone()),
            Self::Kl(config, _) => AutoencoderConfig::Kl(config.clone()),
        }
    }

    fn check(&self) -> Result<usize> {
        match self {
            Self::Haar(_) => Ok(0),
            Self::Kl(config, file) => config.check_file(file),
        }
    }

    fn load(self, device: &Device) -> Result<Autoencoder> {
        Autoencoder::new(self.config(), |config| match &self {
            Self::Haar(_) => Ok(crate::weights::Weights::new()),
            Self::Kl(_, file) => config.load(file, device),
        })
    }
}

impl TextPart<'_> {
    fn load(self, device: &Device) -> Result<(TextEncoder, Tokenizer)> {
        let weights = self.config.load(&self.file, device)?;
        Ok((TextEncoder::new(self.config, &weights)?, self.tokenizer))
    }
}

impl Parts<'_> {
    /// Checks every tensor and that the parts fit each other, by headers and configurations.
    pub(crate) fn check(&self) -> Result<Counts> {
        let counts = Counts {
            text: self.text.config.check_file(&self.text.file)?,
            second_text: match &self.second_text {
                Some(text) => Some(text.config.check_file(&text.file)?),
                None => None,
            },
            vae: self.vae.check()?,
            unet: self.unet.0.check_file(&self.unet.1)?,
        };
        let second = self.second_text.as_ref();
        Fit {
            unet: &self.unet.0,
            latent_channels: self.vae.config().latent_channels()?,
            schedule: &self.schedule,
            text: (&self.text.config, &self.text.tokenizer),
            second_text: second.map(|text| (&text.config, &text.tokenizer)),
        }
        .check()?;
        Ok(counts)
    }

    /// Reads all weights, after all of them have been checked.
    pub(crate) fn load(self, device: &Device) -> Result<Pipeline> {
        self.check()?;
        let (text, tokenizer) = self.text.load(device)?;
        let second = self.second_text.map(|second| second.load(device));
        let second_text = second.transpose()?;
        let second_text = second_text.map(|(encoder, tokenizer)| SecondText { encoder, tokenizer });
        Pipeline {
            unet_weights: self.unet.0.load(&self.unet.1, device)?,
            unet_config: self.unet.0,
            autoencoder: self.vae.load(device)?,
            text,
            tokenizer,
            second_text,
            schedule: self.schedule,
            model_index: self.model_index,
        }
        .checked()
    }
}
