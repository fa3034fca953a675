//! Second-order multistep sampling, equal to diffusers' `DPMSolverMultistepScheduler` with `dpmsolver++`, midpoint.

use candle_core::Tensor;

use super::{BetaSchedule, NoiseSchedule, PredictionType, Spacing, deviations, euler::interpolate};
use crate::Result;

/// Curvature of the noise levels of Karras et al. (arXiv 2206.00364, eq. 5).
const RHO: f64 = 7.0;

/// DPM-Solver++ (2M) (Lu et al., arXiv 2211.01095, algorithm 2).
///
/// The solver works on `lambda = ln(alpha / sigma)` and on predictions of the clean latents.
#[derive(Clone, Debug)]
pub struct DpmSolver {
    prediction: PredictionType,
    timesteps: Vec<f64>,
    /// Noise deviations relative to the signal, one more than timesteps; the last is 0.
    sigmas: Vec<f64>,
    /// Clean latents predicted at the step before.
    earlier: Option<Tensor>,
}

impl DpmSolver {
    /// Plans `steps` timesteps; with `karras` the noise levels are those of Karras et al.
    pub fn new(schedule: &NoiseSchedule, steps: usize, karras: bool) -> Result<Self> {
        let config = &schedule.config;
        let all = deviations(schedule);
        let spacing = config.timestep_spacing.unwrap_or(Spacing::Linspace);
        let mut timesteps = spacing.solver_timesteps(config, steps)?;
        let mut sigmas: Vec<f64> = if karras {
            let levels = karras_levels(&all, steps);
            let round = config.beta_schedule != BetaSchedule::SquaredCosine;
            timesteps = levels
                .iter()
                .map(|sigma| nearest_timestep(*sigma, &all))
                .map(|t| if round { t.round_ties_even() } else { t })
                .collect();
            levels
        } else {
            timesteps.iter().map(|t| interpolate(*t, &all)).collect()
        };
        sigmas.push(0.0);
        Ok(Self {
            prediction: config.prediction_type,
            timesteps,
            sigmas,
            earlier: None,
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
        let (now, next) = (
            Level::new(self.sigmas[index]),
            Level::new(self.sigmas[index + 1]),
        );
        let clean = match self.prediction {
            PredictionType::VPrediction => ((latents * now.signal)? - (prediction * now.spread)?)?,
            _ => ((latents - (prediction * now.spread)?)? / now.signal)?,
        };
        let h = next.lambda - now.lambda;
        let weight = next.signal * (1.0 - (-h).exp());
        let mut moved = ((latents * (next.spread / now.spread))? + (&clean * weight)?)?;
        let is_last = index + 1 == self.timesteps.len();
        if let Some(earlier) = self.earlier.take().filter(|_| !is_last) {
            let before = Level::new(self.sigmas[index - 1]);
            let ratio = (now.lambda - before.lambda) / h;
            let slope = ((&clean - earlier)? * (0.5 * weight / ratio))?;
            moved = (moved + slope)?;
        }
        self.earlier = Some(clean);
        Ok(moved)
    }
}

/// A noise level with unit total variance.
struct Level {
    signal: f64,
    spread: f64,
    lambda: f64,
}

impl Level {
    fn new(sigma: f64) -> Self {
        let signal = 1.0 / (sigma * sigma + 1.0).sqrt();
        Self {
            signal,
            spread: sigma * signal,
            lambda: -sigma.ln(),
        }
    }
}

/// `(max^(1/rho) + i/(n-1) (min^(1/rho) - max^(1/rho)))^rho`.
fn karras_levels(all: &[f64], steps: usize) -> Vec<f64> {
    let root = |sigma: f64| sigma.powf(1.0 / RHO);
    let (lowest, highest) = (root(all[0]), root(all[all.len() - 1]));
    let last = steps.saturating_sub(1).max(1) as f64;
    (0..steps)
        .map(|index| (highest + index as f64 / last * (lowest - highest)).powf(RHO))
        .collect()
}

/// The timestep whose deviation this is, between the two nearest by the logarithm.
fn nearest_timestep(sigma: f64, all: &[f64]) -> f64 {
    let above = all.partition_point(|level| *level <= sigma);
    let below = above.saturating_sub(1).min(all.len() - 2);
    let (low, high) = (all[below].ln(), all[below + 1].ln());
    let share = ((sigma.max(1e-10).ln() - low) / (high - low)).clamp(0.0, 1.0);
    below as f64 + share
}
