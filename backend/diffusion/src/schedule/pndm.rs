//! Linear multistep sampling, equal to diffusers' `PNDMScheduler` with `skip_prk_steps`, the first sampler of Stable
//! Diffusion.

use candle_core::Tensor;

use super::{NoiseSchedule, PredictionType, Spacing, spacing::whole};
use crate::{Error, Result};

/// Pseudo linear multistep method of fourth order (Liu et al., arXiv 2202.09778, eq. 12), warmed up by one repeated
/// second step.
#[derive(Clone, Debug)]
pub struct Pndm {
    schedule: NoiseSchedule,
    stride: usize,
    timesteps: Vec<f64>,
    steps: Vec<usize>,
    /// Earlier predictions, the newest last, four at most.
    earlier: Vec<Tensor>,
    /// Latents before the repeated step.
    repeated: Option<Tensor>,
}

impl Pndm {
    /// Plans `steps` steps; one more prediction is made, because the second is repeated.
    pub fn new(schedule: &NoiseSchedule, steps: usize) -> Result<Self> {
        if steps < 2 {
            return Err(Error::InvalidArgument(format!(
                "{steps} steps for a linear multistep sampler"
            )));
        }
        let config = &schedule.config;
        let spacing = config.timestep_spacing.unwrap_or(Spacing::Leading);
        let mut timesteps = spacing.timesteps(config, steps)?;
        timesteps.insert(1, timesteps[1]);
        Ok(Self {
            stride: config.num_train_timesteps / steps,
            steps: timesteps.iter().map(|t| whole(*t)).collect(),
            timesteps,
            schedule: schedule.clone(),
            earlier: Vec::new(),
            repeated: None,
        })
    }

    pub(super) fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    pub(super) fn step(
        &mut self,
        prediction: &Tensor,
        index: usize,
        latents: &Tensor,
    ) -> Result<Tensor> {
        let timestep = self.steps[index];
        if index == 1 {
            // The second prediction corrects the first step instead of making one.
            let mean = ((prediction + &self.earlier[0])? * 0.5)?;
            let start = self.repeated.take().unwrap_or_else(|| latents.clone());
            return self.move_on(&mean, timestep + self.stride, Some(timestep), &start);
        }
        if self.earlier.len() == 4 {
            self.earlier.remove(0);
        }
        self.earlier.push(prediction.clone());
        if index == 0 {
            self.repeated = Some(latents.clone());
        }
        let mixed = self.mixed()?;
        self.move_on(&mixed, timestep, timestep.checked_sub(self.stride), latents)
    }

    /// Adams-Bashforth weights of the order that the earlier predictions allow.
    fn mixed(&self) -> Result<Tensor> {
        let weights: &[f64] = match self.earlier.len() {
            1 => &[1.0],
            2 => &[1.5, -0.5],
            3 => &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
            _ => &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
        };
        let mut newest_first = self.earlier.iter().rev().zip(weights);
        let Some((first, weight)) = newest_first.next() else {
            return Err(Error::InvalidArgument("no prediction yet".to_owned()));
        };
        newest_first.try_fold((first * *weight)?, |sum, (prediction, weight)| {
            Ok((sum + (prediction * *weight)?)?)
        })
    }

    /// Equation 9 of the paper, from one timestep to the next; `None` is past the first timestep.
    fn move_on(
        &self,
        prediction: &Tensor,
        from: usize,
        to: Option<usize>,
        latents: &Tensor,
    ) -> Result<Tensor> {
        let config = &self.schedule.config;
        let now = f64::from(self.schedule.alpha(from)?);
        let next = f64::from(match to {
            Some(to) => self.schedule.alpha(to)?,
            None if config.set_alpha_to_one => 1.0,
            None => self.schedule.alphas_cumprod[0],
        });
        let noise = match config.prediction_type {
            PredictionType::VPrediction => {
                ((prediction * now.sqrt())? + (latents * (1.0 - now).sqrt())?)?
            }
            _ => prediction.clone(),
        };
        let divisor = now * (1.0 - next).sqrt() + (now * (1.0 - now) * next).sqrt();
        Ok(((latents * (next / now).sqrt())? - (noise * ((next - now) / divisor))?)?)
    }
}
