//! The bias-corrected and accelerated interval of any bootstrap.
//!
//! Owns how draws and jackknife values become two ends. Refuses to resample: whoever calls knows
//! what the independent units are.

use super::{
    ALPHA, mean,
    normal::{cumulative, quantile as normal_quantile},
    sorted_quantile,
};

/// Relative difference that sums of the same values in another order may have.
const ROUNDING: f64 = 1e-12;

/// Both ends of the 95 % interval (Efron 1987, eq. 2.3).
///
/// `z0 = Phi^-1(share of draws below value, ties half)` and `Phi(z0 + (z0 + z) / (1 - a (z0 + z)))`
/// is the level of the draws' quantile at each end, `a` from [`acceleration`]. `value` is the
/// statistic of the whole sample, `jackknife` holds it without each unit in turn. Neither may be
/// empty. A draw that differs from `value` by rounding is a tie.
pub(super) fn interval(value: f64, mut draws: Vec<f64>, jackknife: &[f64]) -> (f64, f64) {
    let rounding = ROUNDING
        * draws
            .iter()
            .fold(value.abs(), |largest, draw| largest.max(draw.abs()));
    for draw in &mut draws {
        if (*draw - value).abs() <= rounding {
            *draw = value;
        }
    }
    draws.sort_by(f64::total_cmp);
    let below = draws.partition_point(|draw| *draw < value);
    let not_above = draws.partition_point(|draw| *draw <= value);
    let share = (below + not_above) as f64 / (2 * draws.len()) as f64;
    let bias = normal_quantile(share.clamp(1e-6, 1.0 - 1e-6));
    let acceleration = acceleration(jackknife);
    let adjusted = |level: f64| {
        let z = bias + normal_quantile(level);
        cumulative(bias + z / (1.0 - acceleration * z))
    };
    (
        sorted_quantile(&draws, adjusted(ALPHA / 2.0)),
        sorted_quantile(&draws, adjusted(1.0 - ALPHA / 2.0)),
    )
}

/// Skewness of the jackknife values over six; 0 where they differ by less than rounding.
fn acceleration(jackknife: &[f64]) -> f64 {
    let centre = mean(jackknife);
    let power = |p: i32| jackknife.iter().map(|j| (centre - j).powi(p)).sum::<f64>();
    let skewness = power(3) / (6.0 * power(2).powf(1.5));
    if skewness.is_finite() { skewness } else { 0.0 }
}
