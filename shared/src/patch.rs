//! Pictures that patterns show: the owner's own, beside the built-in licence card.

use serde::{Deserialize, Serialize};

use crate::{PatchId, Timestamp};

/// An uploaded patch: decoded, cleaned of metadata and stored as PNG with its transparency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PatchImage {
    /// Identifies the patch.
    pub id: PatchId,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bytes of the stored file.
    pub size_bytes: u64,
    /// SHA-256 of the stored file.
    pub sha256: String,
    /// Where the picture is; needs the owner's session or token.
    pub url: String,
    /// When it was added.
    pub created_at: Timestamp,
}
