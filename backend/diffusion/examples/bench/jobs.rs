//! What both sides are asked to do, and what they answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// One training step of the U-Net.
    Train,
    /// Twenty guided steps of DPM-Solver++.
    Sample,
    /// Pixels to latents.
    Encode,
    /// Latents to pixels.
    Decode,
    /// Token ids to states.
    Text,
}

/// One thing to run once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub(crate) struct Job {
    pub(crate) kind: Kind,
    /// The folder of the model and its inputs.
    pub(crate) model: String,
    /// Entries of the batch.
    pub(crate) batch: usize,
    pub(crate) threads: usize,
}

/// The answer: milliseconds by phase, a number that must agree, and the process's peak memory.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Outcome {
    pub(crate) times: BTreeMap<String, f64>,
    pub(crate) check: f64,
    /// Megabytes.
    pub(crate) peak: f64,
}

impl Job {
    pub(crate) fn new(kind: Kind, model: &str, batch: usize, threads: usize) -> Self {
        Self {
            kind,
            model: model.to_owned(),
            batch,
            threads,
        }
    }

    /// A training step at a size of [`crate::sizes`].
    pub(crate) fn train(size: &str, threads: usize) -> Self {
        Self::new(
            Kind::Train,
            &format!("unet-{size}"),
            crate::sizes::BATCH,
            threads,
        )
    }

    /// The phases that are timed; the last is the whole.
    pub(crate) fn phases(&self) -> Vec<&'static str> {
        match self.kind {
            Kind::Train => vec!["forward", "backward", "optimizer", "step"],
            Kind::Sample => vec!["sampling"],
            Kind::Encode => vec!["encode"],
            Kind::Decode => vec!["decode"],
            Kind::Text => vec!["text"],
        }
    }

    /// Runs for each run that `steps` asks of a training step; sampling takes twenty predictions.
    pub(crate) fn rounds(&self, steps: usize) -> usize {
        match self.kind {
            Kind::Sample => steps.div_ceil(3).max(2),
            Kind::Encode | Kind::Decode => steps.div_ceil(2).max(2),
            Kind::Train | Kind::Text => steps,
        }
    }
}
