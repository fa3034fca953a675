//! Euler steps over noise deviations, equal to diffusers' `EulerDiscreteScheduler` without churn.

use candle_core::Tensor;

use super::{NoiseSchedule, PredictionType, Spacing, deviations};
use crate::Result;

/// Euler's method on the probability-flow equation (Karras et al., arXiv 2206.00364, algorithm 1 without churn).
///
/// The state is `latents + sigma * noise`, which a model trained on unit variance reads divided by
/// `sqrt(sigma^2 + 1)`.
#[derive(Clone, Debug)]
pub struct Euler {
    prediction: PredictionType,
    timesteps: Vec<f64>,
    /// One more than timesteps; the last is 0.
    sigmas: Vec<f64>,
    initial: f64,
}

impl Euler {
    /// Plans `steps` timesteps, from much noise to little.
    pub fn new(schedule: &NoiseSchedule, steps: usize) -> Result<Self> {
        let spacing = schedule
            .config
            .timestep_spacing
            .unwrap_or(Spacing::Linspace);
        let mut timesteps = spacing.timesteps(&schedule.config, steps)?;
        if spacing == Spacing::Linspace {
            // Deviations are read between timesteps here, so nothing is rounded.
            let last = timesteps[0];
            let step = last / (steps - 1).max(1) as f64;
            timesteps = (0..steps).map(|index| last - step * index as f64).collect();
        }
        let all = deviations(schedule);
        let mut sigmas: Vec<f64> = timesteps.iter().map(|t| interpolate(*t, &all)).collect();
        let highest = sigmas.iter().copied().fold(0.0, f64::max);
        let initial = match spacing {
            Spacing::Leading => (highest * highest + 1.0).sqrt(),
            Spacing::Linspace | Spacing::Trailing => highest,
        };
        sigmas.push(0.0);
        Ok(Self {
            prediction: schedule.config.prediction_type,
            timesteps,
            sigmas,
            initial,
        })
    }

    pub(super) fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    pub(super) fn initial_scale(&self) -> f64 {
        self.initial
    }

    pub(super) fn scale_input(&self, latents: &Tensor, index: usize) -> Result<Tensor> {
        let sigma = self.sigmas[index];
        Ok((latents / (sigma * sigma + 1.0).sqrt())?)
    }

    pub(super) fn step(
        &self,
        prediction: &Tensor,
        index: usize,
        latents: &Tensor,
    ) -> Result<Tensor> {
        let (sigma, next) = (self.sigmas[index], self.sigmas[index + 1]);
        let clean = match self.prediction {
            PredictionType::VPrediction => {
                let variance = sigma * sigma + 1.0;
                ((prediction * (-sigma / variance.sqrt()))? + (latents / variance)?)?
            }
            _ => (latents - (prediction * sigma)?)?,
        };
        let slope = ((latents - clean)? / sigma)?;
        Ok((latents + (slope * (next - sigma))?)?)
    }
}

/// Linear interpolation between the values at whole timesteps.
pub(super) fn interpolate(timestep: f64, values: &[f64]) -> f64 {
    let position = timestep.clamp(0.0, (values.len() - 1) as f64);
    let below = floor(position);
    let above = (below + 1).min(values.len() - 1);
    values[below] + (values[above] - values[below]) * (position - below as f64)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of a slice"
)]
fn floor(position: f64) -> usize {
    position.floor() as usize
}
