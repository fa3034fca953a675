//! Deterministic sampling steps, equal to diffusers' `DDIMScheduler` with eta 0.

use candle_core::Tensor;

use super::{NoiseSchedule, PredictionType};
use crate::{Error, Result};

/// DDIM sampler (Song et al., arXiv 2010.02502, eq. 12 with sigma 0), leading spacing.
#[derive(Clone, Debug)]
pub struct Ddim {
    schedule: NoiseSchedule,
    stride: usize,
    timesteps: Vec<usize>,
}

impl Ddim {
    /// Plans `steps` timesteps, from much noise to little.
    pub fn new(schedule: &NoiseSchedule, steps: usize) -> Result<Self> {
        let count = schedule.config.num_train_timesteps;
        if steps == 0 || steps > count {
            return Err(Error::InvalidArgument(format!(
                "{steps} sampling steps of {count}"
            )));
        }
        let stride = count / steps;
        let offset = schedule.config.steps_offset;
        let timesteps: Vec<_> = (0..steps)
            .rev()
            .map(|index| index * stride + offset)
            .collect();
        if timesteps[0] >= count {
            return Err(Error::InvalidConfig(format!(
                "steps_offset {offset} with {steps} steps"
            )));
        }
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
