//! S50 by family and learning rate, over all units (subject and seed) that are protected and attacked by somebody who does
//! not know it.

use std::collections::BTreeMap;

use shared::{
    attack::Adaptive,
    matrix::{BreakingPointResult, CellResult, Plan},
};

use super::{planned_families, unit};
use crate::metric::breaking_point::{
    BreakingCurve, BreakingPoint, CheckpointRates, breaking_curves, breaking_point, weakest,
};

/// One row a family and planned rate that has tests, in the order of the plan, rates rising.
pub(super) fn points(plan: &Plan, tests: &[&CellResult]) -> Vec<BreakingPointResult> {
    let families = planned_families(plan).into_iter();
    let rows = families.flat_map(|family| {
        let own = tests
            .iter()
            .filter(|result| result.cell.recipe.family == family)
            // Who knows of the protection is tried at one rate alone: among plain attacks that rate would look weakest.
            .filter(|result| result.cell.recipe.adaptive == Adaptive::default());
        let mut units: BTreeMap<_, Vec<BreakingPoint>> = BTreeMap::new();
        for result in own {
            let rate = result.cell.learning_rate;
            let points = units.entry((rate.to_bits(), unit(result))).or_default();
            points.extend(breaking_point(&rates(result)));
        }
        let units: Vec<_> = units
            .iter()
            .map(|((rate, _), points)| (f64::from_bits(*rate), weakest(points)))
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
    let units = curve.survival.n;
    BreakingPointResult {
        family,
        learning_rate: curve.learning_rate,
        tests: units,
        held: units.saturating_sub(broken),
        without_evidence: curve.without_evidence,
        median: curve.median.value,
        low: curve.median.low,
        high: curve.median.high,
    }
}
