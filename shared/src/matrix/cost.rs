//! What cells take: steps, pictures, minutes from a measured pace, and the cut to a budget.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Cell, Plan};

/// Measured speed of a machine with a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// Milliseconds of an attack step, by [`crate::attack::Family::slug`]; a family without one takes the slowest.
    pub milliseconds_per_step: BTreeMap<String, f64>,
    /// Milliseconds of a drawn picture.
    pub milliseconds_per_picture: f64,
    /// Cells at once that do not slow each other down.
    pub workers: u32,
}

/// What a part of a plan takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Cost {
    /// Cells.
    pub cells: u32,
    /// Attack steps on both models.
    pub steps: u64,
    /// Pictures: judged, class sets and those that set thresholds.
    pub pictures: u64,
    /// Minutes on all workers together.
    pub minutes: f64,
}

impl Plan {
    /// What the first `count` cells take; attacks on the clean base under `ready` keys are already done.
    pub fn cost(&self, count: usize, pace: &Pace, ready: &BTreeSet<String>) -> Cost {
        self.costs(pace, ready)
            .take(count)
            .last()
            .unwrap_or_default()
    }

    /// Keeps as many of the first cells as end within `minutes`; the others stay in the plan as not tested.
    pub fn cut_to(&mut self, minutes: f64, pace: &Pace, ready: &BTreeSet<String>) {
        let fits = self
            .costs(pace, ready)
            .take_while(|cost| cost.minutes <= minutes)
            .count();
        self.kept = u32::try_from(fits).unwrap_or(u32::MAX).min(self.kept);
        self.budget_minutes = Some(minutes);
    }

    /// Running totals: what the first cell takes, the first two, and so on.
    fn costs<'a>(
        &'a self,
        pace: &'a Pace,
        ready: &'a BTreeSet<String>,
    ) -> impl Iterator<Item = Cost> + 'a {
        let mut shared = BTreeSet::new();
        let mut total = Cost::default();
        let mut milliseconds = 0.0;
        self.cells.iter().map(move |cell| {
            let arms = if ready.contains(&self.base_key(cell)) {
                1
            } else {
                2
            };
            let steps = u64::from(cell.steps()) * arms;
            let drawn = u64::from(cell.pictures(&self.settings)) * arms;
            let pictures = drawn + self.sets(cell, &mut shared);
            total.cells += 1;
            total.steps += steps;
            total.pictures += pictures;
            milliseconds +=
                steps as f64 * pace.step(cell) + pictures as f64 * pace.milliseconds_per_picture;
            total.minutes = milliseconds / 60_000.0 / f64::from(pace.workers.max(1));
            total
        })
    }

    /// Pictures of the sets that this cell is the first to need: class pictures of both models, and the clean
    /// base's class-only pictures behind the threshold.
    fn sets(&self, cell: &Cell, shared: &mut BTreeSet<(String, u64, bool)>) -> u64 {
        let class = &self.subject(cell).class_name;
        let mut pictures = 0;
        if shared.insert((class.clone(), cell.seed, false)) {
            pictures += u64::from(self.settings.threshold_pictures);
        }
        if cell.recipe.has_prior()
            && cell.recipe.prior_preservation
            && shared.insert((class.clone(), cell.seed, true))
        {
            pictures += 2 * u64::from(self.settings.class_pictures);
        }
        pictures
    }
}

impl Pace {
    fn step(&self, cell: &Cell) -> f64 {
        let slug = cell.recipe.family.slug();
        let slowest = || {
            self.milliseconds_per_step
                .values()
                .copied()
                .fold(0.0, f64::max)
        };
        let own = self.milliseconds_per_step.get(&slug).copied();
        own.unwrap_or_else(slowest)
    }
}
