//! Galleries: what an attacker gets with and without protection, side by side.

use serde::{Deserialize, Serialize};

use crate::{GalleryId, JobId, SetId, Timestamp, evaluation::EvaluationReport};

/// A picture and its score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GalleryImage {
    /// Where the picture is; a private gallery needs the owner's session or token.
    pub url: String,
    /// Mean cosine similarity to the protected images.
    pub similarity: f64,
    /// Whether it counts as the subject.
    pub hit: bool,
}

/// Matched twins: same prompt, seed and attack step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GalleryPair {
    /// Steps of the attack.
    pub attack_step: u32,
    /// Seed of the start noise.
    pub seed: u64,
    /// The prompt.
    pub prompt: String,
    /// What the clean model drew.
    pub clean: GalleryImage,
    /// What the protected model drew.
    pub protected: GalleryImage,
}

/// A gallery in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GallerySummary {
    /// Identifies the gallery.
    pub id: GalleryId,
    /// Name of the protected set.
    pub title: String,
    /// The verdict in one sentence.
    pub verdict: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A gallery in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Gallery {
    /// Identifies the gallery.
    pub id: GalleryId,
    /// Name of the protected set.
    pub title: String,
    /// The protected set.
    pub protected_set_id: SetId,
    /// The job that trained the protection.
    pub protect_job_id: JobId,
    /// The job that judged it.
    pub evaluation_job_id: JobId,
    /// Position of the attacked concept in the protect job; 0 where the viewer does not own them.
    #[serde(default)]
    pub concept: u32,
    /// Numbers and verdict.
    pub report: EvaluationReport,
    /// The protected images; empty where the viewer does not own them.
    pub references: Vec<String>,
    /// The twins, by attack step, then seed.
    pub pairs: Vec<GalleryPair>,
    /// Where to download the protected U-Net; absent where the viewer does not own it.
    pub protected_unet_url: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}
