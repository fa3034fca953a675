//! A whole text-to-image model in the diffusers folder layout.
//!
//! It reads and writes fixed names below one folder, and never a path that a file names. Weights
//! are safetensors only; a folder that has nothing but pickles lacks its weights.

mod files;
mod fit;
mod folder;
pub(crate) mod parts;
mod prompts;
mod save;
pub(crate) mod single_file;

use std::{collections::BTreeMap, path::Path};

use candle_core::{DType, Device, Tensor};

use self::fit::Fit;
pub use self::{
    files::MODEL_WEIGHTS,
    single_file::{Family, SingleFileOptions},
};
use crate::{
    Result,
    plan::Models,
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
    /// The other encoder of Stable Diffusion XL, whose pooled text joins the time embedding.
    pub second_text: Option<SecondText>,
    /// Noise schedule.
    pub schedule: ScheduleConfig,
    /// `model_index.json` of a folder that was loaded, written back unchanged.
    pub model_index: Option<serde_json::Value>,
}

/// A second text encoder with its own tokenizer.
#[derive(Clone, Debug)]
pub struct SecondText {
    /// A text encoder with a projection.
    pub encoder: TextEncoder,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
}

/// Hands the parts of a folder, listed and not read, to `take`.
pub(crate) fn list_folder<T>(
    folder: &Path,
    take: impl FnOnce(&parts::Parts<'_>) -> Result<T>,
) -> Result<T> {
    take(&folder::parts(&files::Folder(folder))?)
}

/// The configurations of a folder's models; weights need not be there.
pub(crate) fn models(folder: &Path) -> Result<Models> {
    folder::models(&files::Folder(folder))
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
        Self {
            unet_config,
            unet_weights,
            autoencoder,
            text,
            tokenizer,
            second_text: None,
            schedule,
            model_index: None,
        }
        .checked()
    }

    /// This pipeline, if its parts fit each other.
    pub fn checked(self) -> Result<Self> {
        self.check()?;
        Ok(self)
    }

    /// Reads a folder in the diffusers layout; tensors become `f32`.
    ///
    /// All headers are compared with the configurations before any tensor is made, and tensors that the
    /// configurations do not imply are not read.
    pub fn load(folder: impl AsRef<Path>, device: &Device) -> Result<Self> {
        folder::parts(&files::Folder(folder.as_ref()))?.load(device)
    }

    /// Like [`Pipeline::load`], from relative path (`unet/config.json`) to content.
    pub fn from_files(files: &BTreeMap<String, Vec<u8>>, device: &Device) -> Result<Self> {
        folder::parts(files)?.load(device)
    }

    /// Writes a folder in the diffusers layout, with weights as `dtype`, one tensor at a time.
    pub fn save(&self, folder: impl AsRef<Path>, dtype: DType) -> Result<()> {
        save::folder(self, folder.as_ref(), dtype)
    }

    /// The files that [`Pipeline::save`] writes, from relative path to content.
    pub fn to_files(&self, dtype: DType) -> Result<BTreeMap<String, Vec<u8>>> {
        save::contents(self, dtype)
    }

    /// The denoiser over this pipeline's weights.
    pub fn unet(&self) -> Result<UNet> {
        UNet::new(self.unet_config.clone(), &self.unet_weights)
    }

    /// The noise levels.
    pub fn noise_schedule(&self) -> Result<NoiseSchedule> {
        NoiseSchedule::new(&self.schedule)
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

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        let first = self.unet_weights.iter().next();
        first.map_or(&Device::Cpu, |(_, tensor)| tensor.device())
    }

    /// Latents of images from wherever those are, without gradients.
    ///
    /// `pixels: [n, 3, h, w]` in `[-1, 1]`; result as that of [`Autoencoder::encode`], on this pipeline's device.
    pub fn encode_pixels(&self, pixels: &Tensor) -> Result<Tensor> {
        let pixels = pixels.to_device(self.device())?;
        Ok(self.autoencoder.encode(&pixels)?.detach())
    }

    /// Images of latents on this pipeline's device, brought to the host's memory, without gradients.
    ///
    /// Result: `[n, 3, h, w]`, clamped to `[-1, 1]`.
    pub fn decode_latents(&self, latents: &Tensor) -> Result<Tensor> {
        let pixels = self.autoencoder.decode(latents)?.detach();
        Ok(pixels.clamp(-1.0, 1.0)?.to_device(&Device::Cpu)?)
    }

    fn check(&self) -> Result<()> {
        self.unet()?;
        let second = self.second_text.as_ref();
        Fit {
            unet: &self.unet_config,
            latent_channels: self.autoencoder.latent_channels(),
            schedule: &self.schedule,
            text: (self.text.config(), &self.tokenizer),
            second_text: second.map(|text| (text.encoder.config(), &text.tokenizer)),
        }
        .check()
    }
}
