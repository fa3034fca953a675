//! The exact sign-flip test over units.
//!
//! Owns the test. Refuses to take images for units: one (subject, seed) is one difference.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Up to so many differences every flip is counted; beyond, as many draws as a bootstrap takes.
const EXACT: usize = 13;

/// One-sided p that the mean of paired differences is above zero (Fisher 1935, section 21).
///
/// `p = #{s in {-1, 1}^m : sum_i s_i |d_i| >= sum_i d_i} / 2^m` over the `m` finite differences: without any effect each
/// could as well have had the other sign. Beyond 13 differences [`super::BOOTSTRAP_DRAWS`] flips are drawn with `seed`, the
/// one that was seen among them. The smallest p of `m` units is `2^-m`: three units never give less than 1/8. Without
/// differences 1; what is not finite counts as no difference.
pub fn sign_flip(differences: &[f64], seed: u64) -> f64 {
    let finite: Vec<f64> = differences
        .iter()
        .map(|difference| {
            if difference.is_finite() {
                *difference
            } else {
                0.0
            }
        })
        .collect();
    let observed: f64 = finite.iter().sum();
    // Sums of the same numbers in another order differ in their last bits.
    let bound = observed - 1e-12 * finite.iter().map(|d| d.abs()).sum::<f64>();
    let reached = |sum: f64| sum >= bound;
    if finite.len() <= EXACT {
        let flips = 1_u32 << finite.len();
        let sums = (0..flips).map(|bits| signed_sum(&finite, |at| bits >> at & 1 == 1));
        return sums.filter(|sum| reached(*sum)).count() as f64 / f64::from(flips);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let draws = super::BOOTSTRAP_DRAWS;
    let more = (1..draws)
        .filter(|_| reached(signed_sum(&finite, |_| rng.random())))
        .count();
    (more + 1) as f64 / draws as f64
}

fn signed_sum(differences: &[f64], mut flipped: impl FnMut(usize) -> bool) -> f64 {
    let signed = differences.iter().enumerate();
    signed
        .map(|(at, d)| if flipped(at) { -d } else { *d })
        .sum()
}

#[cfg(test)]
mod tests {
    //! References from scipy 1.17:
    //!
    //! ```python
    //! from scipy.stats import permutation_test
    //! import numpy as np
    //! permutation_test((d,), np.mean, permutation_type="samples", alternative="greater", n_resamples=np.inf).pvalue
    //! ```

    use super::*;

    #[test]
    fn few_units_match_scipy_exactly() {
        for (differences, p) in [
            (&[0.5, 0.3, 0.9][..], 0.125),
            (&[0.5, -0.3, 0.9], 0.25),
            (&[0.1, 0.2, 0.3, -0.4], 0.4375),
            (&[0.62, 0.5, 0.31, 0.81, 0.0, -0.06, 0.44, 0.12], 0.0156_25),
            (&[-0.2, -0.4], 1.0),
            (&[], 1.0),
            (&[f64::NAN], 1.0),
        ] {
            assert!(
                (sign_flip(differences, 1) - p).abs() < 1e-12,
                "{differences:?}: {}",
                sign_flip(differences, 1)
            );
        }
    }

    #[test]
    fn many_units_are_sampled_and_agree_with_the_normal_law() {
        // Twenty differences with mean 0.1 and spread 0.3: z = sum d / sqrt(sum d^2) = 1.41.
        let differences: Vec<f64> = (0..20)
            .map(|at| 0.1 + if at % 2 == 0 { 0.3 } else { -0.3 })
            .collect();
        let z =
            differences.iter().sum::<f64>() / differences.iter().map(|d| d * d).sum::<f64>().sqrt();
        let expected = 1.0 - super::super::normal::cumulative(z);
        let found = sign_flip(&differences, 7);
        assert!(
            (found - expected).abs() < 0.05,
            "{found} against {expected}"
        );
        assert_eq!(found.to_bits(), sign_flip(&differences, 7).to_bits());
        assert!(sign_flip(&[1.0; 40], 7) <= 1.0 / 10_000.0 + 1e-12);
    }
}
