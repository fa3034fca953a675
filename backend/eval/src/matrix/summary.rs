//! Numbers over several cells: units are drawn whole, intervals never lose the pictures behind them.

use std::collections::BTreeMap;

use shared::{
    evaluation::{ArmResult, CheckpointResult, Estimate},
    matrix::{CellResult, Point},
};

use super::record::rounded;
use crate::statistics::{Cluster, cluster_mean, mean, wilson};

/// Subject and seed: what is drawn whole.
pub(super) type Unit = (u32, u64);

/// Seed of every bootstrap over cells.
const SEED: u64 = 0x6D61_7472;

/// The unit of a cell.
pub(super) fn unit(result: &CellResult) -> Unit {
    (result.cell.subject, result.cell.seed)
}

/// One value a cell, grouped by unit.
pub(super) fn by_unit<'a>(
    cells: impl IntoIterator<Item = (&'a CellResult, f64)>,
) -> BTreeMap<Unit, Vec<f64>> {
    let mut units: BTreeMap<Unit, Vec<f64>> = BTreeMap::new();
    for (result, value) in cells {
        units.entry(unit(result)).or_default().push(value);
    }
    units
}

/// Mean over units with its bootstrap interval; of a single unit the value alone, which is no interval.
pub(super) fn mean_of_units(units: &BTreeMap<Unit, Vec<f64>>) -> Option<Estimate> {
    let clusters: Vec<Cluster> = units
        .values()
        .map(|values| Cluster {
            values: values.clone(),
        })
        .collect();
    cluster_mean(&clusters, SEED).map(rounded)
}

/// A share of pictures over units: `successes` of `n` for each cell.
///
/// Value: mean over units. Interval: the wider of the bootstrap over units and of Wilson's over all pictures, because few
/// units that agree would give none. `n`: pictures. `None` without pictures.
pub(super) fn share<'a>(
    cells: impl IntoIterator<Item = (&'a CellResult, Estimate)>,
) -> Option<Estimate> {
    let cells: Vec<(&CellResult, Estimate)> = cells.into_iter().collect();
    let n: u32 = cells.iter().map(|(_, rate)| rate.n).sum();
    if n == 0 {
        return None;
    }
    let successes: f64 = cells.iter().map(|(_, rate)| successes(*rate)).sum();
    let units = by_unit(cells.iter().map(|(cell, rate)| (*cell, rate.value)));
    let means: Vec<f64> = units.values().map(|values| mean(values)).collect();
    let pooled = wilson(whole(successes), n as usize);
    let drawn = mean_of_units(&units);
    Some(rounded(Estimate {
        value: mean(&means),
        low: drawn.map_or(pooled.low, |drawn| drawn.low.min(pooled.low)),
        high: drawn.map_or(pooled.high, |drawn| drawn.high.max(pooled.high)),
        n,
    }))
}

/// The same at one attack step of both models.
pub(super) fn point(cells: &[&CellResult], attack_step: u32) -> Option<Point> {
    let at = |pick: fn(&CheckpointResult) -> ArmResult| {
        let cells = cells
            .iter()
            .filter_map(|result| Some((*result, pick(result.at(attack_step)?).hit_rate)));
        share(cells.collect::<Vec<_>>())
    };
    Some(Point {
        attack_step,
        clean: at(|found| found.clean)?,
        protected: at(|found| found.protected)?,
    })
}

/// The complement of a share.
pub(super) fn complement(share: Estimate) -> Estimate {
    rounded(Estimate {
        value: 1.0 - share.value,
        low: 1.0 - share.high,
        high: 1.0 - share.low,
        n: share.n,
    })
}

/// How many successes a share stands for.
pub(super) fn successes(rate: Estimate) -> f64 {
    (rate.value * f64::from(rate.n)).round()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of pictures"
)]
fn whole(count: f64) -> usize {
    count as usize
}
