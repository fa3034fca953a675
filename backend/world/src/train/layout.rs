//! The configurations of the embedded models. Refuses to hold weights.

use diffusion::schedule::{BetaSchedule, PredictionType, ScheduleConfig};
use diffusion::text::TextConfig;
use diffusion::unet::{PerLevel, UNetConfig};
use diffusion::vae::HaarConfig;

use crate::vocabulary::MAX_LENGTH;

/// Width of the text encoder and of the metric encoder's common space.
pub const WIDTH: usize = 96;
/// Side of the latents: the Haar transform halves the picture.
pub const LATENT_SIDE: usize = 16;
/// Channels of the latents: four Haar bands of three colours.
pub const LATENT_CHANNELS: usize = 12;

/// The autoencoder. Its scales keep every latent of a picture within the bound of [`schedule`], where predicted
/// latents are clipped: no band of a pixel in [-1, 1] is larger than 2.
pub fn haar() -> HaarConfig {
    HaarConfig {
        levels: 1,
        low_divisor: 1.2,
        detail_factor: 2.0,
    }
}

/// The denoiser: 3.8 M parameters.
pub fn unet() -> UNetConfig {
    let names = |names: [&str; 3]| names.map(str::to_owned).to_vec();
    let (down, up) = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D");
    UNetConfig {
        in_channels: LATENT_CHANNELS,
        out_channels: LATENT_CHANNELS,
        block_out_channels: vec![48, 96, 96],
        layers_per_block: 1,
        down_block_types: names(["DownBlock2D", down, down]),
        up_block_types: names([up, up, "UpBlock2D"]),
        cross_attention_dim: WIDTH,
        attention_head_dim: PerLevel::Same(4),
        norm_num_groups: 16,
        sample_size: Some(LATENT_SIDE),
        ..UNetConfig::default()
    }
}

/// The text encoder: 0.38 M parameters, 0.15 M of them token embeddings.
pub fn text(vocabulary_size: usize) -> TextConfig {
    let end = u32::try_from(vocabulary_size - 1).expect("vocabularies are small");
    TextConfig {
        vocab_size: vocabulary_size,
        hidden_size: WIDTH,
        intermediate_size: 2 * WIDTH,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        max_position_embeddings: MAX_LENGTH,
        eos_token_id: Some(end),
        ..TextConfig::default()
    }
}

/// Noise levels: those of Stable Diffusion. The model predicts velocities, as Stable Diffusion 2 does: errors of predicted
/// noise are multiplied by `1 / sqrt(abar)` in the picture, 15 times at the last timestep, where the layout is decided.
/// Predicted latents are clipped where real ones never are.
pub fn schedule() -> ScheduleConfig {
    ScheduleConfig {
        beta_start: 8.5e-4,
        beta_end: 0.012,
        beta_schedule: BetaSchedule::ScaledLinear,
        prediction_type: PredictionType::VPrediction,
        clip_sample: true,
        clip_sample_range: 4.0,
        ..ScheduleConfig::default()
    }
}
