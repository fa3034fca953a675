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
    /// Where it is small, at most 256 pixels a side; the picture itself where none was made.
    #[serde(default)]
    pub thumbnail_url: String,
    /// What to show until it is there, as a `BlurHash`; absent for pictures of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blur_hash: Option<String>,
    /// What its owner may want to look at; nothing of it keeps the picture out.
    #[serde(default)]
    pub hints: Vec<ImageHint>,
    /// When it was added.
    pub created_at: Timestamp,
}

/// Something about a picture that weakens what is trained on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageHint {
    /// What it is.
    pub code: ImageHintCode,
    /// What was found, and what to do.
    pub detail: String,
    /// The other picture, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_id: Option<ImageId>,
}

/// Kinds of hints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ImageHintCode {
    /// Its shorter side is below [`GOOD_SIDE`] pixels.
    Small,
    /// It has hardly any edges.
    Blurred,
    /// Another picture of the set looks alike.
    NearDuplicate,
    /// Two separate areas of like size stand out from what lies along the border.
    SeveralSubjects,
    /// A kind this client does not know yet.
    #[serde(other)]
    Unknown,
}

/// The side of a Stable Diffusion 1.x picture: smaller ones are enlarged before they are trained on.
pub const GOOD_SIDE: u32 = 512;
