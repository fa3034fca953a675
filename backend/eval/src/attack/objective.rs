//! What an attack minimises, and at which timesteps. Refuses to draw anything.

use std::ops::Range;

use candle_core::Tensor;
use diffusion::schedule::{NoiseSchedule, PredictionType};
use shared::attack::{AttackRecipe, Family};

use crate::Result;

/// `L = w E_snr || target - prediction ||^2 + lambda E || target' - prediction' ||^2`, the second term over class
/// images (`DreamBooth`, Ruiz et al., arXiv 2208.12242, eq. 4).
#[derive(Clone, Debug)]
pub(super) struct Objective {
    /// `lambda`; 1 in the paper on `DreamBooth` and in diffusers' scripts.
    pub(super) prior_weight: f64,
    /// `w`; 1 but for Custom Diffusion.
    pub(super) instance_weight: f64,
    /// Bound of the signal-to-noise ratio in the weights of instance images.
    pub(super) min_snr_gamma: Option<f64>,
    /// Timesteps that are drawn from.
    pub(super) timesteps: Range<usize>,
}

impl Objective {
    /// The plain mean squared error at every timestep: fine-tuning.
    pub(super) fn plain(schedule: &NoiseSchedule) -> Self {
        Self {
            prior_weight: 1.0,
            instance_weight: 1.0,
            min_snr_gamma: None,
            timesteps: 0..schedule.alphas_cumprod().len(),
        }
    }

    /// The objective of a recipe for latents of `channels` channels.
    pub(super) fn of(recipe: &AttackRecipe, schedule: &NoiseSchedule, channels: usize) -> Self {
        let plain = Self::plain(schedule);
        let total = plain.timesteps.end;
        Self {
            // The authors' code and diffusers divide by the pixels of a mask, not by its channels too.
            instance_weight: match recipe.family {
                Family::CustomDiffusion => channels as f64,
                _ => 1.0,
            },
            min_snr_gamma: recipe.adaptive.min_snr_gamma,
            timesteps: if recipe.adaptive.high_noise_only {
                total / 2..total
            } else {
                0..total
            },
            ..plain
        }
    }

    /// The loss of a batch whose first `timesteps.len()` rows are instance images and whose others are of the class.
    ///
    /// `prediction, target: [b, ..]`; a scalar. Gradient flows to: `prediction`.
    pub(super) fn loss(
        &self,
        prediction: &Tensor,
        target: &Tensor,
        schedule: &NoiseSchedule,
        timesteps: &[usize],
    ) -> Result<Tensor> {
        let errors = (prediction - target)?.sqr()?;
        let (rows, instances) = (errors.dim(0)?, timesteps.len());
        let instance = errors.narrow(0, 0, instances)?;
        let mut loss = match self.min_snr_gamma {
            None => instance.mean_all()?,
            Some(gamma) => {
                let weights = min_snr_weights(schedule, timesteps, gamma)?;
                let weights = Tensor::new(weights, errors.device())?;
                (instance.flatten_from(1)?.mean(1)? * weights)?.mean_all()?
            }
        };
        if (self.instance_weight - 1.0).abs() > f64::EPSILON {
            loss = (loss * self.instance_weight)?;
        }
        if rows > instances {
            let class = errors.narrow(0, instances, rows - instances)?.mean_all()?;
            loss = (loss + (class * self.prior_weight)?)?;
        }
        Ok(loss)
    }
}

/// Weights of Min-SNR (Hang et al., arXiv 2303.09556, section 3.4): `min(snr, gamma)` on the error of the clean
/// latents, which is `min(snr, gamma) / snr` on that of the noise and `min(snr, gamma) / (snr + 1)` on that of the
/// velocity.
pub(super) fn min_snr_weights(
    schedule: &NoiseSchedule,
    timesteps: &[usize],
    gamma: f64,
) -> Result<Vec<f32>> {
    let velocity = schedule.config().prediction_type == PredictionType::VPrediction;
    let weight = |timestep: &usize| {
        let snr = f64::from(schedule.signal_to_noise(*timestep)?);
        let scale = if velocity { snr + 1.0 } else { snr };
        #[expect(clippy::cast_possible_truncation, reason = "factors of f32 arithmetic")]
        let weight = (snr.min(gamma) / scale) as f32;
        Ok(weight)
    };
    timesteps.iter().map(weight).collect()
}
