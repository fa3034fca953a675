//! Many tests at once.
//!
//! Owns Holm's correction of a family of p-values. Refuses to drop a test from its family: what is
//! no probability stays in, as no evidence.

/// Adjusted p-values of Holm's step-down procedure, in the order given (Holm 1979).
///
/// `adjusted_(i) = min(1, max_{j <= i} (m - j + 1) p_(j))` over the `m` p-values in rising order.
/// Rejecting where `adjusted <= alpha` keeps the chance of any false rejection in the family at or
/// below `alpha`, however the tests depend on each other. Ties get equal values.
///
/// `NaN`, values below 0 and values above 1 count as 1: they add to `m` and are never significant.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let probabilities: Vec<f64> = p_values.iter().copied().map(probability).collect();
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|l, r| probabilities[*l].total_cmp(&probabilities[*r]));
    let mut adjusted = vec![0.0; order.len()];
    let mut floor = 0.0_f64;
    for (rank, index) in order.iter().enumerate() {
        let scaled = (order.len() - rank) as f64 * probabilities[*index];
        floor = floor.max(scaled).min(1.0);
        adjusted[*index] = floor;
    }
    adjusted
}

fn probability(p: f64) -> f64 {
    if (0.0..=1.0).contains(&p) { p } else { 1.0 }
}

#[cfg(test)]
mod tests {
    //! References from statsmodels 0.15:
    //!
    //! ```python
    //! from statsmodels.stats.multitest import multipletests
    //! multipletests(p, method="holm")[1]
    //! ```

    use super::*;

    fn assert_adjusted(p_values: &[f64], expected: &[f64]) {
        let found = holm(p_values);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} not {expected}");
        }
    }

    /// Fifteen endpoints of a thrombolysis trial, the example of Benjamini and Hochberg (1995),
    /// who report that control of the family-wise error at 5 % rejects three.
    #[test]
    fn published_family_matches_statsmodels() {
        let p_values = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
            0.5719, 0.6528, 0.7590, 1.0,
        ];
        let expected = [
            0.0015, 0.0056, 0.0247, 0.114, 0.2211, 0.278, 0.278, 0.278, 0.3213, 1.0, 1.0, 1.0, 1.0,
            1.0, 1.0,
        ];
        assert_adjusted(&p_values, &expected);
        let rejected = holm(&p_values).iter().filter(|p| **p <= 0.05).count();
        assert_eq!(rejected, 3);
    }

    #[test]
    fn order_and_ties_match_statsmodels() {
        assert_adjusted(&[0.01, 0.04, 0.03, 0.005], &[0.03, 0.06, 0.06, 0.02]);
        assert_adjusted(&[0.03, 0.03, 0.5, 0.9], &[0.12, 0.12, 1.0, 1.0]);
        assert_adjusted(&[0.2], &[0.2]);
        assert_adjusted(&[], &[]);
    }

    #[test]
    fn what_is_no_probability_is_no_evidence_but_counts() {
        let odd = [f64::NAN, -0.01, 1.5, f64::NEG_INFINITY];
        assert_adjusted(&odd, &[1.0; 4]);
        assert_adjusted(&[0.01, f64::NAN, -0.0, 2.0], &[0.03, 1.0, 0.0, 1.0]);
    }
}
