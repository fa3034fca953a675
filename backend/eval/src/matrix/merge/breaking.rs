//! S50 by family and learning rate, over all tests on protected subjects.

use shared::matrix::{BreakingPointResult, CellResult, Plan};

use super::planned_families;
use crate::metric::breaking_point::{
    BreakingCurve, CheckpointRates, breaking_curves, breaking_point,
};

/// One row a family and planned rate that has tests, in the order of the plan, rates rising.
pub(super) fn points(plan: &Plan, tests: &[&CellResult]) -> Vec<BreakingPointResult> {
    let families = planned_families(plan).into_iter();
    let rows = families.flat_map(|family| {
        let own = tests
            .iter()
            .filter(|result| result.cell.recipe.family == family);
        let units: Vec<_> = own
            .map(|result| (result.cell.learning_rate, breaking_point(&rates(result))))
            .collect();
        let curves = breaking_curves(&units);
        curves
            .into_iter()
            .map(move |curve| row(family.slug(), &curve))
    });
    rows.collect()
}

fn rates(result: &CellResult) -> Vec<CheckpointRates> {
    let one = |found: &shared::evaluation::CheckpointResult| CheckpointRates {
        step: found.attack_step,
        clean: found.clean.hit_rate.value,
        protected: found.protected.hit_rate.value,
    };
    result.checkpoints.iter().map(one).collect()
}

fn row(family: String, curve: &BreakingCurve) -> BreakingPointResult {
    let broken: u32 = curve.survival.steps.iter().map(|step| step.events).sum();
    let tests = curve.survival.n;
    BreakingPointResult {
        family,
        learning_rate: curve.learning_rate,
        tests,
        held: tests.saturating_sub(broken),
        without_evidence: curve.without_evidence,
        median: curve.median.value,
        low: curve.median.low,
        high: curve.median.high,
    }
}
