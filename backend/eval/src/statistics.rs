//! Intervals and tests behind every number of a report.
//!
//! Owns the Wilson interval, the `BCa` bootstrap over images and over whole units, the exact
//! `McNemar` test, Holm's correction, Kaplan-Meier curves and quantiles. Refuses to interpret them:
//! that is [`crate::report`].

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shared::evaluation::Estimate;

use self::normal::quantile as normal_quantile;

pub use self::{
    cluster::{Cluster, cluster_difference, cluster_mean, cluster_statistic, image_mean},
    holm::holm,
    sign_flip::sign_flip,
    survival::{Median, Observation, Step, Survival, kaplan_meier},
};

pub mod normal;

mod bca;
mod cluster;
mod holm;
mod sign_flip;
mod survival;

/// Draws of every bootstrap (EVALUATION, statistics).
pub const BOOTSTRAP_DRAWS: usize = 10_000;
/// Two-sided 95 %.
const ALPHA: f64 = 0.05;

/// A share with its 95 % Wilson score interval.
///
/// Without trials the interval is `[0, 1]` and the value 0.
pub fn wilson(successes: usize, trials: usize) -> Estimate {
    if trials == 0 {
        return Estimate {
            value: 0.0,
            low: 0.0,
            high: 1.0,
            n: 0,
        };
    }
    let n = trials as f64;
    let share = successes as f64 / n;
    let z = normal_quantile(1.0 - ALPHA / 2.0);
    let spread = 1.0 + z * z / n;
    let centre = (share + z * z / (2.0 * n)) / spread;
    let half = z / spread * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    Estimate {
        value: share,
        low: if successes == 0 { 0.0 } else { centre - half },
        high: if successes == trials {
            1.0
        } else {
            centre + half
        },
        n: count(trials),
    }
}

/// A mean with its 95 % bias-corrected and accelerated bootstrap interval (Efron 1987).
///
/// The unit is one image. Equal values give an interval without width; no values give zeros.
pub fn bootstrap_mean(values: &[f64], seed: u64) -> Estimate {
    let centre = mean(values);
    let point = Estimate {
        value: centre,
        low: centre,
        high: centre,
        n: count(values.len()),
    };
    if values
        .iter()
        .all(|value| value.to_bits() == values[0].to_bits())
    {
        return point;
    }
    let (low, high) = bca::interval(centre, resampled_means(values, seed), &jackknife(values));
    Estimate { low, high, ..point }
}

/// The mean of `left - right` over matched seeds, with its bootstrap interval.
pub fn paired_difference(left: &[f64], right: &[f64], seed: u64) -> Estimate {
    let differences: Vec<f64> = left.iter().zip(right).map(|(l, r)| l - r).collect();
    bootstrap_mean(&differences, seed)
}

/// Two-sided p-value of the exact `McNemar` test on matched yes/no outcomes.
pub fn mcnemar(left: &[bool], right: &[bool]) -> f64 {
    let only = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|(a, b)| **a && !**b).count();
    let (gained, lost) = (only(left, right), only(right, left));
    let discordant = gained + lost;
    let mut term = 0.5_f64.powi(i32::try_from(discordant).unwrap_or(i32::MAX));
    let mut tail = 0.0;
    for k in 0..=gained.min(lost) {
        tail += term;
        term *= (discordant - k) as f64 / (k + 1) as f64;
    }
    (2.0 * tail).min(1.0)
}

/// The quantile at `level` by linear interpolation between order statistics; `None` of nothing.
pub fn quantile(values: &[f64], level: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (!sorted.is_empty()).then(|| sorted_quantile(&sorted, level))
}

/// The arithmetic mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn resampled_means(values: &[f64], seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let n = values.len();
    (0..BOOTSTRAP_DRAWS)
        .map(|_| (0..n).map(|_| values[rng.random_range(0..n)]).sum::<f64>() / n as f64)
        .collect()
}

/// The mean without each value in turn.
fn jackknife(values: &[f64]) -> Vec<f64> {
    let n = values.len() as f64;
    let total: f64 = values.iter().sum();
    values.iter().map(|v| (total - v) / (n - 1.0)).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the position lies within the slice"
)]
fn sorted_quantile(sorted: &[f64], level: f64) -> f64 {
    let position = level.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = position.ceil() as usize;
    sorted[below] + (sorted[above] - sorted[below]) * (position - below as f64)
}

#[cfg(test)]
mod tests;
