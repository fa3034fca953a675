//! The standard normal distribution. Refuses other parameters.

use std::f64::consts::{FRAC_2_SQRT_PI, PI, SQRT_2};

/// P(X <= x).
pub fn cumulative(x: f64) -> f64 {
    let z = x / SQRT_2;
    if z.abs() < 2.0 {
        return 0.5 * (1.0 + error_function(z));
    }
    let tail = 0.5 * complement(z.abs());
    if z > 0.0 { 1.0 - tail } else { tail }
}

/// The x with P(X <= x) = `level`, for levels strictly between 0 and 1.
pub fn quantile(level: f64) -> f64 {
    let (mut low, mut high) = (-12.0_f64, 12.0_f64);
    // Bisection to the last bit costs 60 evaluations and needs no table of coefficients.
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if cumulative(middle) < level {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// Taylor series of erf, for |z| < 2.
fn error_function(z: f64) -> f64 {
    let mut power = z;
    let mut sum = z;
    for k in 1..60 {
        power *= -z * z / f64::from(k);
        sum += power / f64::from(2 * k + 1);
    }
    FRAC_2_SQRT_PI * sum
}

/// Continued fraction of erfc, for z >= 2.
fn complement(z: f64) -> f64 {
    let mut fraction = 0.0;
    for k in (1..=60).rev() {
        fraction = 0.5 * f64::from(k) / (z + fraction);
    }
    (-z * z).exp() / (PI.sqrt() * (z + fraction))
}
