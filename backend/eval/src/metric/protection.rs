//! Protection success: how often an attacked model does not show the subject.
//!
//! Owns the two rates and their intervals over units. Refuses to judge pictures: [`super::Judge`] does.

use shared::evaluation::Estimate;

use super::Scores;
use crate::statistics::{Cluster, cluster_mean, wilson};

/// Which pictures count as protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Not a hit, and the objective fired (PSR).
    Full,
    /// Not a hit (PSR-weak).
    Weak,
}

impl Protection {
    /// Whether each picture is protected, in the order of the scores.
    pub fn outcomes(self, scores: &Scores) -> Vec<bool> {
        let pairs = scores.hit.iter().zip(&scores.objective);
        pairs
            .map(|(hit, fired)| !hit && (self == Self::Weak || *fired))
            .collect()
    }

    /// Share of protected pictures of one cell, with its Wilson interval over pictures.
    pub fn of_cell(self, scores: &Scores) -> Estimate {
        let outcomes = self.outcomes(scores);
        let protected = outcomes.iter().filter(|outcome| **outcome).count();
        wilson(protected, outcomes.len())
    }

    /// Mean over units, each one (subject, seed), of the share of protected pictures.
    ///
    /// Interval: cluster bootstrap ([`cluster_mean`]), `n` the number of units. Units that agree exactly make the
    /// bootstrap's interval vanish, so there Wilson's over units bounds it: 5 units that all resisted say no more than
    /// "at least 0.57". `None` with fewer than two units that have pictures.
    pub fn of_units(self, units: &[Scores], seed: u64) -> Option<Estimate> {
        let value = |outcome: bool| f64::from(u8::from(outcome));
        let clusters: Vec<Cluster> = units
            .iter()
            .map(|scores| Cluster {
                values: self.outcomes(scores).into_iter().map(value).collect(),
            })
            .collect();
        Some(widened(cluster_mean(&clusters, seed)?))
    }
}

/// An interval without width, of a share, replaced by Wilson's for as many units that agree.
fn widened(estimate: Estimate) -> Estimate {
    if estimate.high > estimate.low {
        return estimate;
    }
    let n = estimate.n as usize;
    let (none, all) = (wilson(0, n), wilson(n, n));
    // Between the ends every unit has the same mixed share: as uncertain as the worse end.
    Estimate {
        low: estimate.value * all.low,
        high: 1.0 - (1.0 - estimate.value) * (1.0 - none.high),
        ..estimate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(hit: &[bool], objective: &[bool]) -> Scores {
        Scores {
            hit: hit.to_vec(),
            objective: objective.to_vec(),
            ..Scores::default()
        }
    }

    #[test]
    fn full_protection_needs_the_objective_and_weak_does_not() {
        let cell = scores(&[true, false, false, true], &[true, true, false, false]);
        assert_eq!(
            Protection::Full.outcomes(&cell),
            [false, true, false, false]
        );
        assert_eq!(Protection::Weak.outcomes(&cell), [false, true, true, false]);
        assert_eq!(Protection::Weak.of_cell(&cell), wilson(2, 4));
        assert_eq!(Protection::Full.of_cell(&cell), wilson(1, 4));
    }

    #[test]
    fn units_weigh_the_same_and_one_unit_is_none() {
        let (small, large) = (scores(&[true], &[false]), scores(&[false; 9], &[false; 9]));
        let found = Protection::Weak
            .of_units(&[small.clone(), large], 3)
            .unwrap();
        assert!((found.value - 0.5).abs() < 1e-12 && found.n == 2);
        assert!(found.low < found.value && found.value < found.high);
        assert_eq!(Protection::Weak.of_units(&[small], 3), None);
    }

    #[test]
    fn units_that_agree_prove_no_more_than_their_number() {
        let unit = scores(&[false; 20], &[true; 20]);
        let found = Protection::Full.of_units(&vec![unit; 5], 3).unwrap();
        // statsmodels.stats.proportion.proportion_confint(5, 5, method="wilson")[0]
        assert!((found.low - 0.565_518_2).abs() < 1e-6, "{found:?}");
        assert!((found.value - 1.0).abs() < 1e-12 && (found.high - 1.0).abs() < 1e-12);
    }
}
