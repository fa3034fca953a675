//! What a node finds out about a job before it is launched: a look at the base model with the protected images.

use serde::{Deserialize, Serialize};

/// What a probe job writes as `probe.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProbeReport {
    /// One entry a concept, in the job's order.
    pub concepts: Vec<ConceptProbe>,
    /// Planned peak memory of an injection step.
    pub memory_bytes: u64,
    /// Planned seconds of an injection step on the node that probed; absent where its model is too large to try.
    pub seconds_per_step: Option<f64>,
}

/// What a probe found for one concept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConceptProbe {
    /// Tokens of the identifier; the trigger binds best to one.
    pub identifier_tokens: u32,
    /// Tokens of the class word.
    pub class_tokens: u32,
    /// What the base model draws under the class prompt alone, against the protected images; absent where no encoder
    /// came along.
    pub familiarity: Option<Familiarity>,
    /// Blast radius: other prompts by how near the text encoder puts them to the trigger, nearest first.
    pub nearby: Vec<Nearby>,
}

/// How well a base model knows a subject before anybody personalizes it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Familiarity {
    /// Mean cosine of the class-only pictures to the protected images.
    pub class_only: f64,
    /// Mean cosine between two protected images.
    pub among_images: f64,
    /// Share of the class-only pictures that are as near to the protected images as those are to one another.
    pub known_share: f64,
    /// Class-only pictures that were drawn.
    pub n: u32,
}

/// A prompt and how near it is to the trigger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Nearby {
    /// The prompt.
    pub prompt: String,
    /// Cosine of both prompts' embeddings.
    pub similarity: f64,
}

/// Above this share of class-only pictures the base model counts as knowing the subject.
pub const KNOWN_SHARE: f64 = 0.25;
