//! Files that jobs produce, content-addressed and immutable.

use serde::{Deserialize, Serialize};

use crate::{ArtifactId, JobId, Timestamp};

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ArtifactKind {
    /// The protected U-Net: safetensors with diffusers' tensor names.
    ProtectedUnet,
    /// One image of a gallery.
    GalleryImage,
    /// The evaluation report as JSON.
    Report,
}

impl ArtifactKind {
    /// The wire and database form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProtectedUnet => "protected_unet",
            Self::GalleryImage => "gallery_image",
            Self::Report => "report",
        }
    }
}

/// A file as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Artifact {
    /// Identifies the file.
    pub id: ArtifactId,
    /// The job that made it.
    pub job_id: JobId,
    /// What it is for.
    pub kind: ArtifactKind,
    /// File name, such as `clean/200/00.png`.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Its size.
    pub size_bytes: u64,
    /// Where to fetch it; needs the owner's session or token.
    pub url: String,
    /// When it was published.
    pub created_at: Timestamp,
}
