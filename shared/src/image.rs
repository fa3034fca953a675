//! One image of a protected set, as its owner sees it.

use serde::{Deserialize, Serialize};

use crate::{ImageId, Timestamp};

/// An image that was decoded, cleaned of metadata and stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProtectedImage {
    /// Identifies the image.
    pub id: ImageId,
    /// File name as uploaded, without any path.
    pub filename: String,
    /// Width in pixels, orientation applied.
    pub width: u32,
    /// Height in pixels, orientation applied.
    pub height: u32,
    /// Bytes of the stored, cleaned file.
    pub size_bytes: u64,
    /// SHA-256 of the file as uploaded.
    pub sha256: String,
    /// Whether the upload carried EXIF data; it is gone.
    pub exif_removed: bool,
    /// Whether the EXIF data held a position; it is gone.
    pub gps_removed: bool,
    /// Where the cleaned picture is; needs the owner's session or token.
    pub url: String,
    /// When it was added.
    pub created_at: Timestamp,
}
