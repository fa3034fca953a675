//! What the base model is trained to do. Refuses to know how it is optimised.

use candle_core::{Device, Tensor};
use diffusion::{
    Result,
    schedule::{NoiseSchedule, PredictionType},
    unet::{Conditions, UNet},
};

/// From this signal-to-noise ratio on, an error in the picture counts no more than there (the idea of Hang et al.,
/// arXiv 2303.09556, section 3.4).
const GAMMA: f32 = 5.0;

/// One batch for the denoiser.
pub struct Batch {
    /// Clean latents, `[n, 12, 16, 16]`.
    pub latents: Tensor,
    /// The captions, one a picture.
    pub conditions: Conditions,
    /// Standard normal noise, shaped like `latents`.
    pub noise: Tensor,
    /// Timesteps, one a picture.
    pub timesteps: Vec<usize>,
}

/// `mean over n of weight * || target - prediction ||^2` (plain mean if not `weighted`). An error of the velocity is
/// `snr + 1` times the error of the picture, so `weight = min(snr + 1, 6) / (snr + 1)`; for predicted noise the factor
/// is `snr`, and `weight = min(snr, 5) / snr`. Gradient flows to: the denoiser's weights.
pub fn loss(
    unet: &UNet,
    schedule: &NoiseSchedule,
    batch: &Batch,
    weighted: bool,
) -> Result<Tensor> {
    let noisy = schedule.add_noise(&batch.latents, &batch.noise, &batch.timesteps)?;
    let times = Tensor::from_iter(batch.timesteps.iter().map(|&t| t as f32), &Device::Cpu)?;
    let prediction = unet.forward(&noisy, &times, &batch.conditions)?;
    let target = schedule.training_target(&batch.latents, &batch.noise, &batch.timesteps)?;
    let error = (prediction - target)?.sqr()?;
    if !weighted {
        return Ok(error.mean_all()?);
    }
    let offset = match schedule.config().prediction_type {
        PredictionType::VPrediction => 1.0,
        _ => 0.0,
    };
    let weight = |&t: &usize| {
        schedule
            .signal_to_noise(t)
            .map(|ratio| (ratio + offset).min(GAMMA + offset) / (ratio + offset))
    };
    let weights = batch
        .timesteps
        .iter()
        .map(weight)
        .collect::<Result<Vec<f32>>>()?;
    let weights = Tensor::from_vec(weights, (batch.timesteps.len(), 1, 1, 1), &Device::Cpu)?;
    Ok(error.broadcast_mul(&weights)?.mean_all()?)
}
