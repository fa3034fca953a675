//! What is kept of one arm: the scores of every picture, rounded so that a file gives them back to the last bit.

use serde::{Deserialize, Serialize};
use shared::{
    canonical::nine_decimals,
    evaluation::{ArmResult, Estimate},
    matrix::FaceMetrics,
};

use crate::{metric::Scores, report::summarise_arm};

/// Pictures of each arm and checkpoint that are kept to be looked at.
pub const SAVED: usize = 6;

/// Scores of one arm's pictures at one checkpoint, in the order of the seeds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointScores {
    /// Steps of the attack.
    pub attack_step: u32,
    /// Mean cosine to the references.
    pub similarity: Vec<f64>,
    /// Whether it shows the subject.
    pub hit: Vec<bool>,
    /// Cosine to the prompt without the identifier.
    pub text_alignment: Vec<f64>,
    /// Whether the class is recognised.
    pub class: Vec<bool>,
    /// Whether the objective fired.
    pub objective: Vec<bool>,
    /// Faces, where they were looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faces: Option<FaceMetrics>,
}

/// One model under one attack.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmRecord {
    /// By step, rising; fewer than planned where the attack diverged.
    pub checkpoints: Vec<CheckpointScores>,
    /// The step after which the attack fell apart, if it did.
    pub diverged: Option<u32>,
    /// Median milliseconds of an attack step.
    pub milliseconds_per_step: f64,
    /// Median milliseconds of a drawn picture.
    pub milliseconds_per_picture: f64,
}

impl CheckpointScores {
    /// Rounds to nine decimals.
    pub fn new(attack_step: u32, scores: Scores) -> Self {
        let rounded = |values: Vec<f64>| values.into_iter().map(nine_decimals).collect();
        Self {
            attack_step,
            similarity: rounded(scores.similarity),
            text_alignment: rounded(scores.text_alignment),
            hit: scores.hit,
            class: scores.class,
            objective: scores.objective,
            faces: None,
        }
    }

    /// Share of pictures with the subject.
    pub fn hit_rate(&self) -> f64 {
        let hits = self.hit.iter().filter(|hit| **hit).count();
        hits as f64 / self.hit.len().max(1) as f64
    }

    pub(super) fn summary(&self, seed: u64) -> ArmResult {
        let scores = Scores {
            similarity: self.similarity.clone(),
            hit: self.hit.clone(),
            text_alignment: self.text_alignment.clone(),
            class: self.class.clone(),
            objective: self.objective.clone(),
        };
        let arm = summarise_arm(&scores, seed);
        ArmResult {
            similarity: rounded(arm.similarity),
            hit_rate: rounded(arm.hit_rate),
            text_alignment: rounded(arm.text_alignment),
            class_rate: rounded(arm.class_rate),
            objective_rate: rounded(arm.objective_rate),
            psr: rounded(arm.psr),
        }
    }
}

/// An estimate of nine decimals.
pub(super) fn rounded(estimate: Estimate) -> Estimate {
    Estimate {
        value: nine_decimals(estimate.value),
        low: nine_decimals(estimate.low),
        high: nine_decimals(estimate.high),
        n: estimate.n,
    }
}
