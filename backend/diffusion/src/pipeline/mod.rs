//! A whole text-to-image model in the diffusers folder layout.
//!
//! It reads and writes fixed names below one folder, and never a path that a file names. Weights
//! are safetensors only; a folder that has nothing but pickles lacks its weights.

mod files;

use std::{collections::BTreeMap, path::Path};

use candle_core::{DType, Device, Tensor};

use crate::{
    Error, Result,
    schedule::{NoiseSchedule, ScheduleConfig},
    text::{TextEncoder, Tokenizer},
    unet::{UNet, UNetConfig},
    vae::Autoencoder,
    weights::Weights,
};

/// The parts of a text-to-image model.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// Configuration of the denoiser.
    pub unet_config: UNetConfig,
    /// Weights of the denoiser; a [`UNet`] is built from them where one is needed.
    pub unet_weights: Weights,
    /// Between pixels and latents.
    pub autoencoder: Autoencoder,
    /// Text encoder.
    pub text: TextEncoder,
    /// Tokenizer of the text encoder.
    pub tokenizer: Tokenizer,
    /// Noise schedule.
    pub schedule: ScheduleConfig,
    /// `model_index.json` of a folder that was loaded, written back unchanged.
    pub model_index: Option<serde_json::Value>,
}

impl Pipeline {
    /// Puts parts together; refuses parts that do not fit each other.
    pub fn new(
        unet_config: UNetConfig,
        unet_weights: Weights,
        autoencoder: Autoencoder,
        text: TextEncoder,
        tokenizer: Tokenizer,
        schedule: ScheduleConfig,
    ) -> Result<Self> {
        let pipeline = Self {
            unet_config,
            unet_weights,
            autoencoder,
            text,
            tokenizer,
            schedule,
            model_index: None,
        };
        pipeline.check()?;
        Ok(pipeline)
    }

    /// Reads a folder in the diffusers layout; tensors become `f32`.
    pub fn load(folder: impl AsRef<Path>, device: &Device) -> Result<Self> {
        files::read(&files::Folder(folder.as_ref()), device)
    }

    /// Like [`Pipeline::load`], from relative path (`unet/config.json`) to content.
    pub fn from_files(files: &BTreeMap<String, Vec<u8>>, device: &Device) -> Result<Self> {
        files::read(files, device)
    }

    /// Writes a folder in the diffusers layout, with weights as `dtype`.
    pub fn save(&self, folder: impl AsRef<Path>, dtype: DType) -> Result<()> {
        files::write(folder.as_ref(), &self.to_files(dtype)?)
    }

    /// The files that [`Pipeline::save`] writes, from relative path to content.
    pub fn to_files(&self, dtype: DType) -> Result<BTreeMap<String, Vec<u8>>> {
        files::contents(self, dtype)
    }

    /// The denoiser over this pipeline's weights.
    pub fn unet(&self) -> Result<UNet> {
        UNet::new(self.unet_config.clone(), &self.unet_weights)
    }

    /// The noise levels.
    pub fn noise_schedule(&self) -> Result<NoiseSchedule> {
        NoiseSchedule::new(&self.schedule)
    }

    /// Text states of prompts: `[n, s, d]`.
    pub fn encode_prompts(&self, prompts: &[String]) -> Result<Tensor> {
        if prompts.is_empty() {
            return Err(Error::InvalidArgument("no prompts".to_owned()));
        }
        let length = self.tokenizer.max_length();
        let ids: Vec<u32> = prompts
            .iter()
            .flat_map(|prompt| self.tokenizer.encode(prompt))
            .collect();
        let device = self
            .text
            .weights()
            .iter()
            .next()
            .map(|(_, tensor)| tensor.device().clone());
        let device = device.unwrap_or(Device::Cpu);
        self.text
            .forward(&Tensor::from_vec(ids, (prompts.len(), length), &device)?)
    }

    /// Channels, height and width of the latents of one image.
    pub fn latent_shape(&self) -> (usize, usize, usize) {
        let side = self
            .unet_config
            .sample_size
            .expect("checked when the pipeline was made");
        (self.unet_config.in_channels, side, side)
    }

    /// Height and width of an image.
    pub fn image_side(&self) -> usize {
        self.latent_shape().1 * self.autoencoder.factor()
    }

    fn check(&self) -> Result<()> {
        self.unet()?;
        self.noise_schedule()?;
        let invalid = |reason: String| Err(Error::InvalidConfig(reason));
        if self.unet_config.sample_size.is_none() {
            return invalid("the U-Net has no sample_size".to_owned());
        }
        let latent = self.autoencoder.latent_channels();
        let channels = (self.unet_config.in_channels, self.unet_config.out_channels);
        if channels != (latent, latent) {
            return invalid(format!(
                "a U-Net of {channels:?} channels for {latent} of latents"
            ));
        }
        let (hidden, expected) = (
            self.text.config().hidden_size,
            self.unet_config.cross_attention_dim,
        );
        if hidden != expected {
            return invalid(format!(
                "text of {hidden} channels for a context of {expected}"
            ));
        }
        let (ids, known) = (
            self.tokenizer.vocabulary_size(),
            self.text.config().vocab_size,
        );
        let (length, longest) = (
            self.tokenizer.max_length(),
            self.text.config().max_position_embeddings,
        );
        if ids > known || length > longest {
            return invalid(format!(
                "a tokenizer of {ids} ids and {length} tokens for an encoder of {known} and {longest}"
            ));
        }
        Ok(())
    }
}
