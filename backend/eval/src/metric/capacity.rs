//! How many concepts one model holds, and which disturb which.
//!
//! Owns the summary over given protection rates. Refuses to train anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::evaluation::Estimate;

use crate::statistics::{Cluster, cluster_mean, mean};

/// One protected model: its concepts, and how well each is protected in it.
#[derive(Clone, Debug, PartialEq)]
pub struct CapacityRun {
    /// Name of each concept and its PSR, in `[0, 1]`.
    pub psr: BTreeMap<String, f64>,
}

/// All runs of one number of concepts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CapacityLevel {
    /// Concepts in a model.
    pub concepts: usize,
    /// Mean PSR over concepts and runs.
    pub psr: f64,
    /// Mean over concepts of `PSR alone - PSR here`, in `[-1, 1]`, with its bootstrap interval over concepts; `None`
    /// where fewer than two concepts were also measured alone.
    pub loss: Option<Estimate>,
}

/// Protection by number of concepts, and interference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// By number of concepts, rising.
    pub levels: Vec<CapacityLevel>,
    /// Names of rows and columns of the matrix, sorted.
    pub concepts: Vec<String>,
    /// `interference[i][j]`: mean over the runs that hold both of `PSR of i alone - PSR of i there`; `None` on the
    /// diagonal, and where no run holds both or `i` was not measured alone.
    pub interference: Vec<Vec<Option<f64>>>,
}

impl Capacity {
    /// The level of `concepts` concepts.
    pub fn level(&self, concepts: usize) -> Option<&CapacityLevel> {
        self.levels.iter().find(|level| level.concepts == concepts)
    }
}

/// Summarises runs (EVALUATION, metrics: capacity; gate: at most 5 points lost at ten concepts).
///
/// PSR alone is the mean over the runs of that concept only. In a run of many, every pair shares the blame alike: the
/// matrix names a culprit only where runs of two exist.
pub fn capacity(runs: &[CapacityRun], seed: u64) -> Capacity {
    let alone = alone(runs);
    let loss = |run: &CapacityRun, concept: &str| Some(alone.get(concept)? - run.psr.get(concept)?);
    let mut by_count: BTreeMap<usize, Vec<&CapacityRun>> = BTreeMap::new();
    for run in runs.iter().filter(|run| !run.psr.is_empty()) {
        by_count.entry(run.psr.len()).or_default().push(run);
    }
    let level = |(concepts, runs): (usize, Vec<&CapacityRun>)| {
        let mut losses: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (run, name) in runs
            .iter()
            .flat_map(|run| run.psr.keys().map(move |name| (run, name)))
        {
            losses.entry(name).or_default().extend(loss(run, name));
        }
        let clusters: Vec<_> = losses
            .into_values()
            .map(|values| Cluster { values })
            .collect();
        let psr: Vec<f64> = runs
            .iter()
            .flat_map(|run| run.psr.values().copied())
            .collect();
        CapacityLevel {
            concepts,
            psr: mean(&psr),
            loss: cluster_mean(&clusters, seed),
        }
    };
    let mut concepts: Vec<String> = runs
        .iter()
        .flat_map(|run| run.psr.keys().cloned())
        .collect();
    concepts.sort();
    concepts.dedup();
    let cell = |row: &String, column: &String| {
        let both = runs
            .iter()
            .filter(|run| row != column && run.psr.contains_key(column));
        let losses: Vec<f64> = both.filter_map(|run| loss(run, row)).collect();
        (!losses.is_empty()).then(|| mean(&losses))
    };
    Capacity {
        levels: by_count.into_iter().map(level).collect(),
        interference: concepts
            .iter()
            .map(|row| concepts.iter().map(|column| cell(row, column)).collect())
            .collect(),
        concepts,
    }
}

fn alone(runs: &[CapacityRun]) -> BTreeMap<&str, f64> {
    let mut values: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.psr.len() == 1) {
        for (name, psr) in &run.psr {
            values.entry(name).or_default().push(*psr);
        }
    }
    values
        .into_iter()
        .map(|(name, values)| (name, mean(&values)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(psr: &[(&str, f64)]) -> CapacityRun {
        CapacityRun {
            psr: psr
                .iter()
                .map(|(name, psr)| ((*name).to_owned(), *psr))
                .collect(),
        }
    }

    #[test]
    fn losses_are_against_the_concept_alone() {
        let runs = [
            run(&[("dog", 0.9)]),
            run(&[("dog", 1.0)]),
            run(&[("cat", 0.8)]),
            run(&[("dog", 0.75), ("cat", 0.8)]),
            run(&[("dog", 0.55), ("cat", 0.6), ("car", 0.5)]),
        ];
        let found = capacity(&runs, 1);
        assert_eq!(found.concepts, ["car", "cat", "dog"]);
        let counts: Vec<_> = found.levels.iter().map(|level| level.concepts).collect();
        assert_eq!(counts, [1, 2, 3]);
        let two = found.level(2).unwrap();
        assert!((two.psr - 0.775).abs() < 1e-12);
        let loss = two.loss.unwrap();
        assert!((loss.value - 0.1).abs() < 1e-12 && loss.n == 2, "{loss:?}");
        // The dog lost .2 beside the cat and .4 beside cat and car; the car was never alone.
        let cell = |row: usize, column: usize| found.interference[row][column];
        assert!((cell(2, 1).unwrap() - 0.3).abs() < 1e-12);
        assert!((cell(2, 0).unwrap() - 0.4).abs() < 1e-12);
        assert_eq!((cell(0, 1), cell(1, 1)), (None, None));
    }

    #[test]
    fn nothing_gives_nothing() {
        let found = capacity(&[run(&[])], 1);
        assert!(found.levels.is_empty() && found.concepts.is_empty());
    }
}
