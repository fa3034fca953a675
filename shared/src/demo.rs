//! The demo project: a bundled subject, protected and attacked for real on this server.

use serde::{Deserialize, Serialize};

use crate::{
    Timestamp,
    evaluation::Grade,
    gallery::Gallery,
    job::{JobMetrics, JobProgress, JobStatus},
    matrix::{Counts, FamilyResult},
};

/// A bundled image set that a newcomer may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SampleSet {
    /// Path-safe name, such as `blue-dog`.
    pub name: String,
    /// Name for people.
    pub title: String,
    /// Class word of the subject.
    pub class_name: String,
    /// One sentence about it.
    pub description: String,
    /// Where its PNG files are; public.
    pub image_urls: Vec<String>,
}

/// One of the demo's two jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DemoJob {
    /// Where it stands.
    pub status: JobStatus,
    /// Why, for people.
    pub status_reason: String,
    /// How far it is.
    pub progress: JobProgress,
    /// What the device measured, once done.
    pub metrics: Option<JobMetrics>,
    /// When a device first started on it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
}

/// The evaluation that came with this version: the standard tier of attacks on the embedded model, run once before the
/// release and signed. Nothing of it was measured on this server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DemoEvaluation {
    /// When it was signed.
    pub issued_at: Timestamp,
    /// Attack cells that were run, each on the clean and on the protected model.
    pub cells: u32,
    /// The grade of the attack that was fixed to decide.
    pub grade: Grade,
    /// What came out, in a sentence.
    pub verdict: String,
    /// How the tests ended.
    pub counts: Counts,
    /// Every family of attacks by itself.
    pub families: Vec<FamilyResult>,
    /// The whole report, one page; public.
    pub report_url: String,
    /// The signed certificate; public.
    pub certificate_url: String,
    /// The keys that `persguard verify` wants beside it; public.
    pub keys_url: String,
}

/// The demo project as anyone may see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Demo {
    /// Injection; absent where this server runs no demo.
    pub protect: Option<DemoJob>,
    /// Attack and verdict; absent until injection is done.
    pub evaluate: Option<DemoJob>,
    /// The public gallery, once there is a verdict.
    pub gallery: Option<Gallery>,
    /// What came with this version.
    #[serde(default)]
    pub evaluation: Option<DemoEvaluation>,
    /// Bundled image sets.
    pub sample_sets: Vec<SampleSet>,
}
