//! Elementary functions that vectorise, and the run-time choice of the instruction set.

use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

/// Number of partial sums of a vectorised reduction: one AVX-512 register, two AVX2 registers.
pub(super) const LANES: usize = 16;

/// Compiles `body` for the best instruction set of this machine, chosen at run time.
///
/// Only what is inlined into `body` gains, so helpers are `#[inline(always)]`, and so is `body`:
/// a large closure would otherwise stay a function of the baseline instruction set.
#[inline(always)]
pub(super) fn vectorize<R>(body: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(body)
}

/// `exp(x)` within 2 ulp on `[-87, 88]`, clamped outside; NaN stays NaN.
///
/// Cephes `expf` (range reduction by ln 2 in two parts, degree-5 polynomial).
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let mantissa = p * r * r + r + 1.0;
    let exponent = shifted
        .to_bits()
        .wrapping_sub(ROUND.to_bits())
        .wrapping_add(127)
        << 23;
    mantissa * f32::from_bits(exponent)
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Error function, absolute error 1.5e-7 (Abramowitz and Stegun, 7.1.26).
#[inline(always)]
pub(super) fn erf(x: f32) -> f32 {
    erf_from(x, exp(-x * x))
}

/// [`erf`] where `exp(-x * x)` is known.
#[inline(always)]
fn erf_from(x: f32, bell: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let p = 1.061_405_4;
    let p = p * t - 1.453_152;
    let p = p * t + 1.421_413_7;
    let p = p * t - 0.284_496_74;
    let p = p * t + 0.254_829_6;
    (1.0 - p * t * bell).copysign(x)
}

/// Standard normal distribution function, the gate of GELU.
#[inline(always)]
pub(super) fn normal_cdf(x: f32) -> f32 {
    0.5 * (1.0 + erf(x * FRAC_1_SQRT_2))
}

/// Standard normal distribution function and density, which share their exponential.
#[inline(always)]
pub(super) fn normal_cdf_and_density(x: f32) -> (f32, f32) {
    const FRAC_1_SQRT_2PI: f32 = 0.398_942_3;
    let bell = exp(-0.5 * x * x);
    (
        0.5 * (1.0 + erf_from(x * FRAC_1_SQRT_2, bell)),
        FRAC_1_SQRT_2PI * bell,
    )
}

/// Sum of `f(i)` terms over slices of one length, in `LANES` partial sums.
#[inline(always)]
pub(super) fn sum_by(xs: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let chunks = xs.chunks_exact(LANES);
    let mut total = 0.0;
    for x in chunks.remainder() {
        total += f(*x);
    }
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += f(*x);
        }
    }
    total + lanes.iter().sum::<f32>()
}

/// Sum of a slice.
#[inline(always)]
pub(super) fn sum(xs: &[f32]) -> f32 {
    sum_by(xs, |x| x)
}

/// Sum of `f(x, y)` over two slices of one length, in `LANES` partial sums.
#[inline(always)]
pub(super) fn sum_pairs(xs: &[f32], ys: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (xs, ys) = (xs.chunks_exact(LANES), ys.chunks_exact(LANES));
    let mut total = 0.0;
    for (x, y) in xs.remainder().iter().zip(ys.remainder()) {
        total += f(*x, *y);
    }
    for (xs, ys) in xs.zip(ys) {
        for ((lane, x), y) in lanes.iter_mut().zip(xs).zip(ys) {
            *lane += f(*x, *y);
        }
    }
    total + lanes.iter().sum::<f32>()
}

/// Mean and reciprocal standard deviation of a slice (biased variance, in two passes).
#[inline(always)]
pub(super) fn moments(xs: &[f32], epsilon: f32) -> (f32, f32) {
    let count = xs.len() as f32;
    let mean = sum(xs) / count;
    let variance = sum_by(xs, |x| (x - mean) * (x - mean)) / count;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

/// `xs += ys`.
#[inline(always)]
pub(super) fn add_to(xs: &mut [f32], ys: &[f32]) {
    for (x, y) in xs.iter_mut().zip(ys) {
        *x += y;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_the_library_over_its_range() {
        for step in -8700..8800_i16 {
            let x = f32::from(step) / 100.0;
            let expected = f64::from(x).exp();
            let relative = (f64::from(exp(x)) - expected).abs() / expected;
            assert!(relative < 2.5e-7, "exp({x}) is off by {relative}");
        }
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn erf_agrees_with_tabulated_values() {
        // Abramowitz and Stegun, table 7.1.
        let table = [
            (0.0, 0.0),
            (0.5, 0.520_499_9),
            (1.0, 0.842_700_8),
            (2.0, 0.995_322_3),
        ];
        for (x, expected) in table {
            assert!((erf(x) - expected).abs() < 3e-7, "erf({x})");
            assert!((erf(-x) + expected).abs() < 3e-7, "erf(-{x})");
        }
    }
}
