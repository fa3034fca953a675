//! The models that are timed: the demo world's, a medium one, and small parts of known designs.

use diffusion::{
    text::TextConfig,
    unet::{PerLevel, UNetConfig},
    vae::KlConfig,
};

/// Images of a training step.
pub(crate) const BATCH: usize = 32;

/// Side of the U-Nets' latents.
pub(crate) const SIDE: usize = 16;

/// Tokens of the U-Nets' context.
pub(crate) const TOKENS: usize = 20;

/// U-Nets by size.
pub(crate) fn unets() -> [(&'static str, UNetConfig); 2] {
    [("demo", demo()), ("medium", medium())]
}

fn demo() -> UNetConfig {
    let names = |names: [&str; 3]| names.map(str::to_owned).to_vec();
    UNetConfig {
        in_channels: 12,
        out_channels: 12,
        block_out_channels: vec![48, 96, 96],
        layers_per_block: 1,
        down_block_types: names([
            "DownBlock2D",
            "CrossAttnDownBlock2D",
            "CrossAttnDownBlock2D",
        ]),
        up_block_types: names(["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"]),
        cross_attention_dim: 96,
        attention_head_dim: PerLevel::Same(4),
        norm_num_groups: 16,
        sample_size: Some(SIDE),
        ..UNetConfig::default()
    }
}

/// Twice the parameters, and latents of 4x4 blocks of pixels.
fn medium() -> UNetConfig {
    UNetConfig {
        in_channels: 48,
        out_channels: 48,
        block_out_channels: vec![64, 128, 128],
        cross_attention_dim: 128,
        ..demo()
    }
}

/// A small autoencoder by a factor of four.
pub(crate) fn autoencoder() -> KlConfig {
    KlConfig {
        down_block_types: vec!["DownEncoderBlock2D".to_owned(); 3],
        up_block_types: vec!["UpDecoderBlock2D".to_owned(); 3],
        block_out_channels: vec![64, 128, 128],
        ..KlConfig::default()
    }
}

/// Sides of the images that the autoencoder is timed on, and how many.
pub(crate) const IMAGES: [(usize, usize); 2] = [(64, 4), (128, 1)];

/// Text encoders by size: the demo world's, and the width of CLIP ViT-L/14 with fewer layers and
/// words.
pub(crate) fn texts() -> [(&'static str, TextConfig); 2] {
    let demo = TextConfig {
        vocab_size: 1607,
        hidden_size: 96,
        intermediate_size: 192,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        max_position_embeddings: TOKENS,
        eos_token_id: Some(1606),
        ..TextConfig::default()
    };
    let wide = TextConfig {
        vocab_size: 1607,
        hidden_size: 768,
        intermediate_size: 3072,
        num_hidden_layers: 3,
        num_attention_heads: 12,
        max_position_embeddings: 77,
        ..demo.clone()
    };
    [("demo", demo), ("wide", wide)]
}
