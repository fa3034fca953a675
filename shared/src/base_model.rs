//! Base models that can be protected.

use serde::{Deserialize, Serialize};

use crate::{ModelId, Timestamp};

/// A text-to-image model that this server may protect, pinned by its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BaseModel {
    /// Identifies the model.
    pub id: ModelId,
    /// What people call it.
    pub name: String,
    /// Architecture family: `tiny` is the embedded demo size.
    pub family: String,
    /// Side of its images in pixels.
    pub resolution: u32,
    /// Licence of the weights (SPDX).
    pub licence: String,
    /// SHA-256 over the sorted list of its files' names and hashes.
    pub sha256: String,
    /// All files together.
    pub size_bytes: u64,
    /// Class words that it draws well; empty if unknown.
    pub classes: Vec<String>,
    /// Vetted classes for the target objective.
    pub targets: Vec<String>,
    /// Identifiers that are a single token in its vocabulary.
    pub identifiers: Vec<String>,
    /// When it was registered here.
    pub created_at: Timestamp,
}
