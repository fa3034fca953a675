//! Checkpoints of one file in the layout of the original programs (`model.diffusion_model.*`).
//!
//! Families are told by names, configurations are derived from shapes, and names become those of
//! diffusers. What shapes cannot say comes from the published models or from the caller; other
//! families (inpainting, refiners, Stable Diffusion 3, Flux, adapters) are refused by name.

mod family;
mod prediction;
mod text;
mod unet;
mod vae;

use std::path::Path;

use candle_core::Device;

pub use self::family::Family;
use super::{
    Pipeline,
    parts::{Parts, TextPart, VaePart},
};
use crate::{
    Result,
    schedule::{BetaSchedule, PredictionType, ScheduleConfig, Spacing},
    text::{TextConfig, Tokenizer},
    unet::UNetConfig,
    vae::KlConfig,
    weights::WeightsFile,
};

/// What a checkpoint of one file does not say, and what its caller knows better.
///
/// Configurations replace the derived ones as a whole.
#[derive(Clone, Debug, Default)]
pub struct SingleFileOptions {
    /// What the model predicts. Stable Diffusion 2.x needs it unless the file's metadata say it.
    pub prediction_type: Option<PredictionType>,
    /// Of the denoiser.
    pub unet: Option<UNetConfig>,
    /// Of the autoencoder.
    pub autoencoder: Option<KlConfig>,
    /// Of the text encoder.
    pub text: Option<TextConfig>,
    /// Of the second text encoder.
    pub second_text: Option<TextConfig>,
    /// Instead of CLIP's tokenizer, for both encoders.
    pub tokenizer: Option<Tokenizer>,
    /// Noise levels.
    pub schedule: Option<ScheduleConfig>,
}

impl Pipeline {
    /// Reads a checkpoint of one safetensors file; tensors become `f32`.
    ///
    /// All shapes are checked before any tensor is made.
    pub fn load_single_file(
        path: impl AsRef<Path>,
        options: &SingleFileOptions,
        device: &Device,
    ) -> Result<Self> {
        parts(&WeightsFile::open(path)?, options)?.load(device)
    }
}

/// Whether a checkpoint, or its family, tells what it predicts.
pub(crate) fn says_prediction(file: &WeightsFile<'_>, family: Family) -> bool {
    prediction::of(file, family, None).is_ok()
}

/// The parts of a checkpoint, listed.
pub(crate) fn parts<'a>(file: &WeightsFile<'a>, options: &SingleFileOptions) -> Result<Parts<'a>> {
    let family = Family::of(file)?;
    let prediction = prediction::of(file, family, options.prediction_type)?;
    let unet_file = unet::renamed(file);
    let unet = match &options.unet {
        Some(config) => config.clone(),
        None => unet::config(&unet_file, family, prediction.kind)?,
    };
    let vae_file = vae::renamed(file);
    let autoencoder = match &options.autoencoder {
        Some(config) => config.clone(),
        None => vae::config(&vae_file, family)?,
    };
    let second = (family == Family::StableDiffusionXl).then(|| {
        let config = options.second_text.as_ref();
        second_text(file, config, options.tokenizer.as_ref())
    });
    Ok(Parts {
        unet: (unet, unet_file),
        vae: VaePart::Kl(autoencoder, vae_file),
        text: first_text(file, family, options)?,
        second_text: second.transpose()?,
        schedule: match &options.schedule {
            Some(schedule) => schedule.clone(),
            None => schedule(prediction),
        },
        model_index: None,
    })
}

fn first_text<'a>(
    file: &WeightsFile<'a>,
    family: Family,
    options: &SingleFileOptions,
) -> Result<TextPart<'a>> {
    let (file, open) = match family {
        Family::StableDiffusion1 => (text::clip(file, "cond_stage_model.transformer."), false),
        Family::StableDiffusion2 => (text::open_clip(file, "cond_stage_model.model."), true),
        Family::StableDiffusionXl => (
            text::clip(file, "conditioner.embedders.0.transformer."),
            false,
        ),
    };
    let config = match &options.text {
        Some(config) => config.clone(),
        None if open => text::config_before_last(&file)?,
        None => text::config(&file)?,
    };
    let tokenizer = tokenizer(options.tokenizer.as_ref(), open)?;
    Ok(TextPart {
        config,
        file,
        tokenizer,
    })
}

fn second_text<'a>(
    file: &WeightsFile<'a>,
    config: Option<&TextConfig>,
    own: Option<&Tokenizer>,
) -> Result<TextPart<'a>> {
    let file = text::open_clip(file, "conditioner.embedders.1.model.");
    let config = match config {
        Some(config) => config.clone(),
        None => text::projecting_config(&file)?,
    };
    let tokenizer = tokenizer(own, true)?;
    Ok(TextPart {
        config,
        file,
        tokenizer,
    })
}

/// CLIP's tokenizer, unless the caller has another; the open models pad with id 0.
fn tokenizer(own: Option<&Tokenizer>, open: bool) -> Result<Tokenizer> {
    match own {
        Some(tokenizer) => Ok(tokenizer.clone()),
        None if open => Tokenizer::clip().padded_with("!"),
        None => Ok(Tokenizer::clip()),
    }
}

/// Noise levels that all three families were trained with.
fn schedule(prediction: prediction::Prediction) -> ScheduleConfig {
    ScheduleConfig {
        beta_start: 0.000_85,
        beta_end: 0.012,
        beta_schedule: BetaSchedule::ScaledLinear,
        prediction_type: prediction.kind,
        clip_sample: false,
        set_alpha_to_one: false,
        steps_offset: 1,
        rescale_betas_zero_snr: prediction.zero_snr,
        // Without any signal at the last step, sampling has to begin there.
        timestep_spacing: prediction.zero_snr.then_some(Spacing::Trailing),
        ..ScheduleConfig::default()
    }
}
