//! Which timesteps a sampler visits. Refuses more steps than the schedule has.

use serde::{Deserialize, Serialize};

use super::ScheduleConfig;
use crate::{Error, Result};

/// Spacing of the sampler's timesteps (Lin et al., arXiv 2305.08891, table 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// From the last timestep to the first, rounded.
    Linspace,
    /// Whole strides from the first timestep, `steps_offset` added.
    Leading,
    /// Whole strides from the last timestep.
    Trailing,
}

impl Spacing {
    /// Timesteps from much noise to little.
    pub(super) fn timesteps(self, config: &ScheduleConfig, steps: usize) -> Result<Vec<f64>> {
        check(config, steps)?;
        let count = config.num_train_timesteps;
        let timesteps: Vec<f64> = match self {
            Self::Linspace => linspace(count - 1, steps.saturating_sub(1), steps),
            Self::Leading => leading(config, count / steps, steps),
            Self::Trailing => trailing(count, steps),
        };
        within(config, timesteps)
    }

    /// The same for a solver that never visits the first timestep: one more is planned and left out.
    pub(super) fn solver_timesteps(
        self,
        config: &ScheduleConfig,
        steps: usize,
    ) -> Result<Vec<f64>> {
        check(config, steps)?;
        let count = config.num_train_timesteps;
        let timesteps: Vec<f64> = match self {
            Self::Linspace => linspace(count - 1, steps, steps),
            Self::Leading => {
                let all = leading(config, count / (steps + 1), steps + 1);
                all[..steps].to_vec()
            }
            Self::Trailing => trailing(count, steps),
        };
        within(config, timesteps)
    }
}

fn check(config: &ScheduleConfig, steps: usize) -> Result<()> {
    let count = config.num_train_timesteps;
    if steps == 0 || steps > count {
        return Err(Error::InvalidArgument(format!(
            "{steps} sampling steps of {count}"
        )));
    }
    Ok(())
}

/// The first `kept` of `intervals + 1` timesteps from `last` to 0.
fn linspace(last: usize, intervals: usize, kept: usize) -> Vec<f64> {
    let step = last as f64 / intervals.max(1) as f64;
    (0..kept)
        .map(|index| (step * (intervals - index) as f64).round_ties_even())
        .collect()
}

fn leading(config: &ScheduleConfig, stride: usize, steps: usize) -> Vec<f64> {
    let offset = config.steps_offset;
    (0..steps)
        .rev()
        .map(|index| (index * stride + offset) as f64)
        .collect()
}

fn trailing(count: usize, steps: usize) -> Vec<f64> {
    let stride = count as f64 / steps as f64;
    (0..steps)
        .map(|index| (count as f64 - stride * index as f64).round_ties_even() - 1.0)
        .collect()
}

fn within(config: &ScheduleConfig, timesteps: Vec<f64>) -> Result<Vec<f64>> {
    if timesteps[0] >= config.num_train_timesteps as f64 {
        return Err(Error::InvalidConfig(format!(
            "steps_offset {} with {} steps",
            config.steps_offset,
            timesteps.len()
        )));
    }
    Ok(timesteps)
}

/// A timestep of a sampler that visits whole ones.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "timesteps are rounded, at least 0 and below 2^32"
)]
pub(super) fn whole(timestep: f64) -> usize {
    timestep as usize
}
