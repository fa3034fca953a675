//! The published models, by their configurations.

use super::Models;
use crate::{
    text::{HiddenActivation, TextConfig},
    unet::{PerLevel, UNetConfig},
    vae::{AutoencoderConfig, KlConfig},
};

/// A published family of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Stable Diffusion 1.x.
    Sd1,
    /// Stable Diffusion 2.x.
    Sd2,
    /// Stable Diffusion XL.
    Sdxl,
}

impl Preset {
    /// The configurations of its parts.
    pub fn models(self) -> Models {
        let (unet, texts) = match self {
            Self::Sd1 => (sd1(), vec![clip_large()]),
            Self::Sd2 => (sd2(), vec![open_clip_huge()]),
            Self::Sdxl => (sdxl(), vec![clip_large(), open_clip_giant()]),
        };
        Models {
            unet,
            texts,
            vae: AutoencoderConfig::Kl(autoencoder()),
        }
    }

    /// The name of its first models.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sd1 => "Stable Diffusion 1.5",
            Self::Sd2 => "Stable Diffusion 2.1",
            Self::Sdxl => "Stable Diffusion XL",
        }
    }
}

fn sd1() -> UNetConfig {
    UNetConfig {
        cross_attention_dim: 768,
        sample_size: Some(64),
        ..UNetConfig::default()
    }
}

fn sd2() -> UNetConfig {
    UNetConfig {
        cross_attention_dim: 1024,
        attention_head_dim: PerLevel::Each(vec![5, 10, 20, 20]),
        use_linear_projection: true,
        sample_size: Some(96),
        ..UNetConfig::default()
    }
}

fn sdxl() -> UNetConfig {
    let names = |names: [&str; 3]| names.map(str::to_owned).to_vec();
    let (down, up) = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D");
    UNetConfig {
        block_out_channels: vec![320, 640, 1280],
        down_block_types: names(["DownBlock2D", down, down]),
        up_block_types: names([up, up, "UpBlock2D"]),
        cross_attention_dim: 2048,
        attention_head_dim: PerLevel::Each(vec![5, 10, 20]),
        transformer_layers_per_block: PerLevel::Each(vec![1, 2, 10]),
        use_linear_projection: true,
        sample_size: Some(128),
        addition_embed_type: Some("text_time".to_owned()),
        addition_time_embed_dim: Some(256),
        projection_class_embeddings_input_dim: Some(2816),
        ..UNetConfig::default()
    }
}

fn clip_large() -> TextConfig {
    TextConfig {
        hidden_size: 768,
        intermediate_size: 3072,
        num_attention_heads: 12,
        ..TextConfig::default()
    }
}

fn open_clip_huge() -> TextConfig {
    TextConfig {
        hidden_size: 1024,
        intermediate_size: 4096,
        num_hidden_layers: 23,
        num_attention_heads: 16,
        hidden_act: HiddenActivation::Gelu,
        ..TextConfig::default()
    }
}

fn open_clip_giant() -> TextConfig {
    TextConfig {
        hidden_size: 1280,
        intermediate_size: 5120,
        num_hidden_layers: 32,
        num_attention_heads: 20,
        hidden_act: HiddenActivation::Gelu,
        projection_dim: 1280,
        architectures: Some(vec!["CLIPTextModelWithProjection".to_owned()]),
        ..TextConfig::default()
    }
}

fn autoencoder() -> KlConfig {
    let four = |name: &str| vec![name.to_owned(); 4];
    KlConfig {
        down_block_types: four("DownEncoderBlock2D"),
        up_block_types: four("UpDecoderBlock2D"),
        block_out_channels: vec![128, 256, 512, 512],
        layers_per_block: 2,
        ..KlConfig::default()
    }
}
