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
    /// A picture of what the trigger draws, before any attack; clean and protected by the same seed.
    Preview,
    /// The held-out identifiers and the salt behind their hash, as JSON.
    Commitment,
    /// What a probe found, as JSON.
    Probe,
    /// The signed withdrawal of a concept's protection, as JSON.
    Revocation,
    /// The planned cells of a study, as JSON.
    MatrixPlan,
    /// What one cell of a study keeps: its result, or the attack on the clean base, as JSON.
    MatrixCell,
    /// The results of some cells together, as JSON.
    MatrixCells,
    /// The report of a study, as JSON.
    MatrixReport,
    /// The report of a study as a page.
    ReportPage,
    /// The signed certificate of a study, as JSON.
    Certificate,
}

impl ArtifactKind {
    /// What was promised or withdrawn: no retention removes it.
    pub const KEPT: [Self; 2] = [Self::Commitment, Self::Revocation];

    /// The wire and database form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProtectedUnet => "protected_unet",
            Self::GalleryImage => "gallery_image",
            Self::Report => "report",
            Self::Preview => "preview",
            Self::Commitment => "commitment",
            Self::Probe => "probe",
            Self::Revocation => "revocation",
            Self::MatrixPlan => "matrix_plan",
            Self::MatrixCell => "matrix_cell",
            Self::MatrixCells => "matrix_cells",
            Self::MatrixReport => "matrix_report",
            Self::ReportPage => "report_page",
            Self::Certificate => "certificate",
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
    /// When it is removed; absent: with its account.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}
