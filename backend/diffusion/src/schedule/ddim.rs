//! Deterministic sampling steps, equal to diffusers' `DDIMScheduler` with eta 0.

use candle_core::Tensor;

use super::{NoiseSchedule, PredictionType, Spacing, spacing::whole};
use crate::Result;

/// DDIM sampler (Song et al., arXiv 2010.02502, eq. 12 with sigma 0).
#[derive(Clone, Debug)]
pub struct Ddim {
    schedule: NoiseSchedule,
    stride: usize,
    timesteps: Vec<usize>,
}

impl Ddim {
    /// Plans `steps` timesteps, from much noise to little.
    pub fn new(schedule: &NoiseSchedule, steps: usize) -> Result<Self> {
        let config = &schedule.config;
        let spacing = config.timestep_spacing.unwrap_or(Spacing::Leading);
        let timesteps = spacing.timesteps(config, steps)?;
        let stride = config.num_train_timesteps / steps;
        let timesteps = timesteps.into_iter().map(whole).collect();
        Ok(Self {
            schedule: schedule.clone(),
            stride,
            timesteps,
        })
    }

    /// The timesteps in the order of sampling.
    pub fn timesteps(&self) -> &[usize] {
        &self.timesteps
    }

    /// Latents of the next timestep from a prediction at `timestep`.
    ///
    /// `prediction, latents: [b, ..]`.
    pub fn step(&self, prediction: &Tensor, timestep: usize, latents: &Tensor) -> Result<Tensor> {
        let config = &self.schedule.config;
        let now = f64::from(self.schedule.alpha(timestep)?);
        let next = f64::from(match timestep.checked_sub(self.stride) {
            Some(previous) => self.schedule.alpha(previous)?,
            None if config.set_alpha_to_one => 1.0,
            None => self.schedule.alphas_cumprod[0],
        });
        let (signal, spread) = (now.sqrt(), (1.0 - now).sqrt());
        let (mut clean, noise) = match config.prediction_type {
            PredictionType::VPrediction => (
                ((latents * signal)? - (prediction * spread)?)?,
                ((prediction * signal)? + (latents * spread)?)?,
            ),
            _ => (
                ((latents - (prediction * spread)?)? / signal)?,
                prediction.clone(),
            ),
        };
        if config.clip_sample {
            // Diffusers keeps the predicted noise as it was before clipping.
            clean = clean.clamp(-config.clip_sample_range, config.clip_sample_range)?;
        }
        Ok(((clean * next.sqrt())? + (noise * (1.0 - next).sqrt())?)?)
    }
}
