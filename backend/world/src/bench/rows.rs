//! Tables of methods: each row protects the same subjects in another way. Owns the rows of both tables. Refuses to
//! run the same injection twice: rows that agree share their runs.

use serde::{Deserialize, Serialize};
use shared::job::{Ablation, Attackers, Budget, Injection, Mode, Retention};

use super::matrix::Unit;
use super::summary::{Summary, summarise};
use super::unit::UnitResult;

/// One way to protect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What is varied.
    pub group: String,
    /// What it is called.
    pub name: String,
    /// Directory of its runs; equal for rows with equal injections.
    pub key: String,
    /// The settings.
    pub injection: Injection,
}

/// A row with what its runs say together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RowSummary {
    /// The row.
    pub row: Row,
    /// Over its runs.
    pub summary: Summary,
}

/// Key of the paper's method: all three losses.
pub const PAPER: &str = "paper";
/// Key of the method that looks ahead, with the demo's settings.
pub const TRAJECTORY: &str = "trajectory";

/// The paper's losses, and looking 100 attack steps ahead without retention, which is the demo's setting.
pub fn method() -> Vec<Row> {
    let ahead = Injection::ahead(Budget::Strong);
    build(vec![
        ("mode", "paper", PAPER, Injection::default()),
        ("mode", "trajectory", TRAJECTORY, ahead),
    ])
}

/// What is varied, the row's name, its key and its settings.
type Entry = (&'static str, &'static str, &'static str, Injection);

/// Losses, persistence, weights and steps, one at a time.
pub fn ablation() -> Vec<Row> {
    build([losses(), persistence(), leaks(), weights(), steps()].concat())
}

fn losses() -> Vec<Entry> {
    let entry = |ablation: &Ablation| {
        let (name, key) = match ablation {
            Ablation::BackdoorOnly => ("L_BB", "backdoor-only"),
            Ablation::WithPrior => ("L_BB + L_PP", "with-prior"),
            Ablation::WithRetention => ("L_BB + L_BR", "with-retention"),
            Ablation::All => ("L_BB + L_PP + L_BR", "all"),
        };
        ("losses", name, key, ablation.injection())
    };
    Ablation::ALL.iter().map(entry).collect()
}

fn persistence() -> Vec<Entry> {
    let ahead = |budget| trajectory(budget, Retention::Full);
    let demo = Injection::ahead(Budget::Strong);
    let against = |attackers| Injection {
        mode: Mode::Trajectory {
            budget: Budget::Strong,
            attackers,
        },
        ..demo.clone()
    };
    let low_noise = Injection {
        retention: Retention::LowNoise,
        ..Injection::default()
    };
    let averaged = Injection {
        averaging: 0.98,
        ..demo.clone()
    };
    let (lora, both) = (against(Attackers::LowRank), against(Attackers::Both));
    let strong_low = Injection {
        retention: Retention::LowNoise,
        ..demo.clone()
    };
    [
        ("10 ahead", "fast", ahead(Budget::Fast)),
        ("40 ahead", "balanced", ahead(Budget::Balanced)),
        ("100 ahead", "strong", ahead(Budget::Strong)),
        ("100 ahead, no L_BR", "strong-off", demo.clone()),
        ("100 ahead, no L_BR, LoRA", "strong-lora", lora),
        ("100 ahead, no L_BR, either", "strong-both", both),
        ("100 ahead, no L_BR, averaged", "strong-averaged", averaged),
        (
            "100 ahead, L_BR at low noise",
            "strong-low-noise",
            strong_low,
        ),
        ("paper, L_BR at low noise", "low-noise", low_noise),
    ]
    .map(|(name, key, injection)| ("persistence", name, key, injection))
    .into()
}

/// How much `L_PP` must weigh where training looks ahead, so that the class's own prompt is left alone.
fn leaks() -> Vec<Entry> {
    let entry = |budget, lambda_prior, name, key| {
        let injection = Injection {
            lambda_prior,
            ..trajectory(budget, Retention::Off)
        };
        ("weight of L_PP, ahead", name, key, injection)
    };
    let (strong, balanced) = (Budget::Strong, Budget::Balanced);
    vec![
        entry(strong, 0.5, "100 ahead, lambda1 = 0.5", "strong-prior-0.5"),
        entry(strong, 2.0, "100 ahead, lambda1 = 2", "strong-prior-2"),
        entry(strong, 5.0, "100 ahead, lambda1 = 5", "strong-prior-5"),
        entry(strong, 10.0, "100 ahead, lambda1 = 10", "strong-prior-10"),
        entry(balanced, 2.0, "40 ahead, lambda1 = 2", "balanced-prior-2"),
        entry(balanced, 5.0, "40 ahead, lambda1 = 5", "balanced-prior-5"),
    ]
}

fn weights() -> Vec<Entry> {
    let prior = |lambda_prior| Injection {
        lambda_prior,
        ..Injection::default()
    };
    let retention = |lambda_retention| Injection {
        lambda_retention,
        ..Injection::default()
    };
    vec![
        (
            "weight of L_PP",
            "lambda1 = 0.25",
            "prior-0.25",
            prior(0.25),
        ),
        ("weight of L_PP", "lambda1 = 0.5", "prior-0.5", prior(0.5)),
        ("weight of L_PP", "lambda1 = 1", "prior-1", prior(1.0)),
        (
            "weight of L_BR",
            "lambda2 = 0.05",
            "retention-0.05",
            retention(0.05),
        ),
        (
            "weight of L_BR",
            "lambda2 = 0.1",
            "retention-0.1",
            retention(0.1),
        ),
        (
            "weight of L_BR",
            "lambda2 = 0.5",
            "retention-0.5",
            retention(0.5),
        ),
    ]
}

fn steps() -> Vec<Entry> {
    [
        (100, "100 steps", "steps-100"),
        (200, "200 steps", "steps-200"),
        (300, "300 steps", "steps-300"),
        (600, "600 steps", "steps-600"),
    ]
    .map(|(steps, name, key)| {
        let injection = Injection {
            steps,
            ..Injection::default()
        };
        ("injection steps", name, key, injection)
    })
    .into()
}

fn trajectory(budget: Budget, retention: Retention) -> Injection {
    Injection {
        mode: Mode::Trajectory {
            budget,
            attackers: Attackers::Full,
        },
        retention,
        ..Injection::default()
    }
}

/// Gives rows with equal injections the key of the first of them.
fn build(rows: Vec<Entry>) -> Vec<Row> {
    let mut built: Vec<Row> = Vec::new();
    for (group, name, key, injection) in rows {
        let twin = built.iter().find(|row| row.injection == injection);
        built.push(Row {
            group: group.to_owned(),
            name: name.to_owned(),
            key: twin.map_or(key, |row| &row.key).to_owned(),
            injection,
        });
    }
    built
}

/// Every row with every unit once: all rows of a unit before the next one.
pub fn by_unit(units: &[Unit], rows: &[Row]) -> Vec<Unit> {
    let every = |unit: &Unit| {
        distinct(rows)
            .map(|row| unit.in_row(&row.key, &row.injection))
            .collect::<Vec<_>>()
    };
    units.iter().flat_map(every).collect()
}

/// Every row with every unit once: all units of a row before the next one.
pub fn by_row(units: &[Unit], rows: &[Row]) -> Vec<Unit> {
    let every = |row: &Row| {
        units
            .iter()
            .map(|unit| unit.in_row(&row.key, &row.injection))
            .collect::<Vec<_>>()
    };
    distinct(rows).flat_map(every).collect()
}

fn distinct(rows: &[Row]) -> impl Iterator<Item = &Row> {
    rows.iter()
        .enumerate()
        .filter(|(at, row)| rows[..*at].iter().all(|before| before.key != row.key))
        .map(|(_, row)| row)
}

/// The rows that have runs, each over its own.
pub fn summaries(rows: &[Row], results: &[UnitResult]) -> Vec<RowSummary> {
    let over = |row: &Row| {
        let own = results.iter().filter(|result| result.unit.row == row.key);
        let own: Vec<UnitResult> = own.cloned().collect();
        (!own.is_empty()).then(|| RowSummary {
            row: row.clone(),
            summary: summarise(&own),
        })
    };
    rows.iter().filter_map(over).collect()
}

/// The row that lasts longest: by its median breaking point, then by how rarely the subject appears over the
/// attack.
pub fn best(rows: &[RowSummary]) -> Option<&RowSummary> {
    let lasts = |row: &RowSummary| {
        let summary = &row.summary;
        let point = match summary.s50_protected.median {
            Some(step) => step,
            None if summary.competent == 0 => 0,
            None => summary.s50_protected.last + 1,
        };
        let hits: f64 = summary
            .steps
            .iter()
            .map(|step| step.hit_protected.value)
            .sum();
        (point, -hits)
    };
    rows.iter().reduce(|best, row| {
        let ((left, hits), (right, others)) = (lasts(best), lasts(row));
        if (right, others) > (left, hits) {
            row
        } else {
            best
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::bench::fixture::result;
    use crate::bench::matrix::{Part, units};

    #[test]
    fn equal_injections_have_one_key_and_different_ones_never() {
        for rows in [method(), ablation()] {
            for left in &rows {
                for right in &rows {
                    let same = left.injection == right.injection;
                    assert_eq!(left.key == right.key, same, "{} {}", left.name, right.name);
                }
            }
        }
        let rows = ablation();
        // The whole method stands in the table as itself and as three of its weights and steps, looking ahead twice.
        let whole = Injection::default();
        assert_eq!(rows.iter().filter(|row| row.injection == whole).count(), 4);
        assert_eq!(distinct(&rows).count(), rows.len() - 4);
        let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names.len(), rows.len());
    }

    #[test]
    fn every_cell_is_run_once_and_is_a_valid_job() {
        let subjects = &units(Part::Development, Mode::Paper)[..2];
        let rows = ablation();
        let (one, other) = (by_unit(subjects, &rows), by_row(subjects, &rows));
        let places =
            |units: &[Unit]| -> BTreeSet<_> { units.iter().map(Unit::directory).collect() };
        assert_eq!(one.len(), places(&one).len());
        assert_eq!(places(&one), places(&other));
        assert_eq!(
            (one[0].name(), one[1].name()),
            (subjects[0].name(), subjects[0].name())
        );
        assert_eq!(
            (other[0].name(), other[1].name()),
            (subjects[0].name(), subjects[1].name())
        );
        for unit in &one {
            assert!(unit.spec().validate().is_empty(), "{:?}", unit.directory());
        }
    }

    #[test]
    fn the_row_that_breaks_later_is_best_and_fewer_hits_decide_a_tie() {
        let rows = method();
        assert!(best(&[]).is_none());
        for (paper, ours, expected) in [
            ([0.0, 0.6, 0.9], [0.0, 0.2, 0.3], TRAJECTORY),
            ([0.0, 0.2, 0.4], [0.0, 0.2, 0.6], PAPER),
            ([0.0, 0.3, 0.6], [0.0, 0.1, 0.6], TRAJECTORY),
        ] {
            let results = [(0, paper), (1, ours)].map(|(at, hits)| result(&rows[at], 0, hits));
            let found = summaries(&rows, &results);
            assert_eq!(best(&found).map(|row| row.row.key.as_str()), Some(expected));
        }
    }

    #[test]
    fn a_row_sums_up_its_own_runs_alone() {
        let rows = method();
        let results = [
            result(&rows[1], 0, [0.0, 0.0, 0.2]),
            result(&rows[1], 1, [0.0, 0.0, 0.4]),
        ];
        let found = summaries(&rows, &results);
        let [row] = found.as_slice() else {
            panic!("only one row has runs: {}", found.len());
        };
        let (summary, last) = (&row.summary, row.summary.steps.last().unwrap());
        assert_eq!((summary.runs, summary.competent), (2, 2));
        assert!((last.hit_protected.value - 0.3).abs() < 1e-9);
        assert!((last.psr_protected.value - 0.7).abs() < 1e-9);
        assert!((summary.innocent_delta.value + 0.1).abs() < 1e-9);
        assert_eq!(summary.s50_protected.median, None);
        let quality = summary.quality.unwrap();
        assert!((quality.text_alignment.value + 0.003).abs() < 1e-9);
        // 1 and 2 of 48.
        assert!((quality.strays.value - 1.5 / 48.0).abs() < 1e-9);
    }
}
