//! Whether some node can do the work.

use std::collections::BTreeSet;

use super::{Facts, check};
use shared::{
    job::JobSpec,
    preflight::{CheckStatus, PreflightCheck},
    probe::ProbeReport,
};
/// The layout of a checkpoint in one file.
const SINGLE_FILE: &str = "single_file";
const MODEL: Option<&str> = Some("#/base_model_id");

fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

impl Facts {
    /// Memory that a node must have to train this: what a probe planned, or the least that any training takes.
    pub(crate) fn required_memory(&self, spec: &JobSpec) -> u64 {
        let least = || {
            let facts = self.model.facts.as_ref();
            facts.map_or(0, |facts| facts.parameters.least_training_bytes())
        };
        let planned = self.probe.planned(spec);
        planned.map_or_else(least, |report| report.memory_bytes)
    }

    /// Memory that the model's weights take by themselves.
    pub(crate) fn weights_bytes(&self) -> u64 {
        let facts = self.model.facts.as_ref();
        facts.map_or(0, |facts| facts.parameters.weights_bytes())
    }

    /// Whether some node that is online can train this model; without any node nobody knows.
    ///
    /// Where a probe planned the memory, the least that any training takes says nothing more.
    pub(super) fn trainable(&self, planned: bool) -> PreflightCheck {
        let (status, detail) = self.trainers(planned);
        check("model_trainable", status, "Base model", detail, MODEL)
    }

    fn trainers(&self, planned: bool) -> (CheckStatus, String) {
        let family = &self.model.family;
        let facts = self.model.facts.as_ref();
        if facts.is_some_and(|facts| facts.layout == SINGLE_FILE) {
            let detail = "Nodes train models that lie as diffusers folders. Convert this checkpoint to a folder and \
                          import that.";
            return (CheckStatus::Fail, detail.into());
        }
        if self.nodes.is_empty() {
            let detail = "Whether a node can train this model is known once one is online.";
            return (CheckStatus::Warn, detail.into());
        }
        let Some(memory) = self.largest() else {
            return (CheckStatus::Fail, self.no_trainer());
        };
        let needed = facts.map_or(0, |facts| facts.parameters.least_training_bytes());
        if !planned && needed > memory {
            let detail = format!(
                "Training this model takes at least {:.1} GB of memory; the largest node that is online has {:.1} GB.",
                gigabytes(needed),
                gigabytes(memory)
            );
            return (CheckStatus::Fail, detail);
        }
        let detail = format!("A node that is online trains models of the family `{family}`.");
        (CheckStatus::Pass, detail)
    }

    pub(super) fn nodes_online(&self) -> u64 {
        self.nodes.iter().map(|kind| kind.nodes).sum()
    }

    /// Memory of the largest node that trains this family.
    fn largest(&self) -> Option<u64> {
        self.nodes
            .iter()
            .filter(|kind| kind.families.contains(&self.model.family))
            .map(|kind| kind.memory_bytes)
            .max()
    }

    fn no_trainer(&self) -> String {
        let known: BTreeSet<&str> = self
            .nodes
            .iter()
            .flat_map(|kind| kind.families.iter().map(String::as_str))
            .collect();
        let known: Vec<&str> = known.into_iter().collect();
        format!(
            "No node that is online can train a model of the family `{}`: they train {}. Choose another model, or \
             connect a node that can.",
            self.model.family,
            known.join(", ")
        )
    }

    /// What a step takes, as the probing node planned it, against what the nodes have.
    pub(super) fn planned_memory(&self, spec: &JobSpec, report: &ProbeReport) -> PreflightCheck {
        let needed = gigabytes(report.memory_bytes);
        let (status, memory) = match self.largest() {
            None => (
                CheckStatus::Warn,
                format!(
                    "Training takes {needed:.1} GB of memory. Whether a node has that is known once one that can train \
                     this model is online."
                ),
            ),
            Some(memory) if report.memory_bytes > memory => (
                CheckStatus::Fail,
                format!(
                    "Training takes {needed:.1} GB of memory; the largest node that is online has {:.1} GB. Choose a \
                     smaller batch, or connect a larger node.",
                    gigabytes(memory)
                ),
            ),
            Some(memory) => (
                CheckStatus::Pass,
                format!(
                    "Training takes {needed:.1} GB of memory; the largest node that is online has {:.1} GB.",
                    gigabytes(memory)
                ),
            ),
        };
        let detail = memory + &time(spec, report);
        check("planned_memory", status, "Memory", detail, MODEL)
    }

    pub(super) fn node_check(&self) -> PreflightCheck {
        let (status, detail) = match self.nodes_online() {
            0 => (
                CheckStatus::Warn,
                "No training node is online. The job waits in the queue.".into(),
            ),
            1 => (CheckStatus::Pass, "One training node is online.".into()),
            nodes => (
                CheckStatus::Pass,
                format!("{nodes} training nodes are online."),
            ),
        };
        check("node_online", status, "Training node", detail, None)
    }
}

fn time(spec: &JobSpec, report: &ProbeReport) -> String {
    let Some(seconds) = report.seconds_per_step else {
        return String::new();
    };
    let steps = spec.injection.steps;
    let all = seconds * f64::from(steps);
    format!(
        " On the node that probed, a step takes about {seconds:.2} seconds: about {} for {steps} steps, before the \
         attacks.",
        super::summary::duration(all)
    )
}
