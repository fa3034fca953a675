//! What the judge found: every number with its n, its interval and its baseline.

use serde::{Deserialize, Serialize};

/// A measured value with its uncertainty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Estimate {
    /// The point estimate.
    pub value: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
    /// Number of images behind it.
    pub n: u32,
}

/// One model under one attack checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ArmResult {
    /// Mean cosine similarity to the protected images (bootstrap interval).
    pub similarity: Estimate,
    /// Share of images that show the subject: similarity above the subject's threshold (Wilson interval).
    pub hit_rate: Estimate,
    /// Cosine of the prompt without the identifier and the image.
    pub text_alignment: Estimate,
    /// Share of images in which the subject's class is recognised.
    pub class_rate: Estimate,
    /// Share of images in which the objective fired: the target is recognised, the class is not, or the patch is
    /// there.
    pub objective_rate: Estimate,
    /// Share of images that do not show the subject and in which the objective fired (Wilson interval).
    #[serde(default)]
    pub psr: Estimate,
}

/// Both models after the same number of attack steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckpointResult {
    /// Steps of the attack.
    pub attack_step: u32,
    /// The clean base model, attacked.
    pub clean: ArmResult,
    /// The protected model, attacked.
    pub protected: ArmResult,
    /// Paired difference in similarity, protected minus clean, same seeds.
    pub similarity_difference: Estimate,
}

/// The judge's grade of the headline checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// The attack worked on the clean model and not on the protected one.
    Resisted,
    /// The attack worked less well on the protected model, but it worked.
    Weakened,
    /// The attack worked on both.
    NotResisted,
    /// The attack did not work on the clean model either: nothing can be said.
    NoEvidence,
}

impl Grade {
    /// The wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resisted => "resisted",
            Self::Weakened => "weakened",
            Self::NotResisted => "not_resisted",
            Self::NoEvidence => "no_evidence",
        }
    }
}

/// The attack that was run, as its recipe states it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttackRecord {
    /// Family, such as `dreambooth_unet`.
    pub family: String,
    /// Steps at the last checkpoint.
    pub steps: u32,
    /// `AdamW` learning rate.
    pub learning_rate: f64,
    /// Whether prior preservation was on.
    pub prior_preservation: bool,
    /// The attacker's identifier.
    pub identifier: String,
    /// Whether injection ever saw that identifier.
    pub identifier_held_out: bool,
    /// The prompt that the attacker trains and draws with.
    pub prompt: String,
    /// Number of protected images that the attacker has.
    pub instance_images: u32,
    /// Seed of the attack's random draws.
    pub seed: u64,
}

/// Everything the judge found out about one protected model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EvaluationReport {
    /// The grade at the last checkpoint.
    pub grade: Grade,
    /// The verdict in one sentence that names attack, steps, learning rate, n and seeds.
    pub verdict: String,
    /// Name of the encoder behind every similarity; never compare across encoders.
    pub encoder: String,
    /// The attack.
    pub attack: AttackRecord,
    /// Similarity above which an image counts as the subject.
    pub hit_threshold: f64,
    /// Results by attack step, rising.
    pub checkpoints: Vec<CheckpointResult>,
    /// What this does not show, in plain sentences.
    pub limits: Vec<String>,
    /// SHA-256 of the clean U-Net.
    pub clean_sha256: String,
    /// SHA-256 of the protected U-Net.
    pub protected_sha256: String,
}

/// One image of a gallery as the judge scored it; the node writes these beside the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScoredImage {
    /// File name among the job's artifacts, such as `clean/200/00.png`.
    pub name: String,
    /// Mean cosine similarity to the protected images.
    pub similarity: f64,
    /// Whether it counts as the subject.
    pub hit: bool,
}

/// The same prompt, seed and attack step on both models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScoredPair {
    /// Steps of the attack.
    pub attack_step: u32,
    /// Seed of the start noise, the same for both.
    pub seed: u64,
    /// The prompt, the same for both.
    pub prompt: String,
    /// The clean model's image.
    pub clean: ScoredImage,
    /// The protected model's image.
    pub protected: ScoredImage,
}

/// What an evaluation job writes as `report.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EvaluationOutput {
    /// Numbers and verdict.
    pub report: EvaluationReport,
    /// Every pair of images, by attack step, then seed.
    pub pairs: Vec<ScoredPair>,
}
