//! The demo project: a bundled subject, protected and attacked for real on this server.

use serde::{Deserialize, Serialize};

use crate::{
    Timestamp,
    gallery::Gallery,
    job::{JobMetrics, JobProgress, JobStatus},
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
    /// Bundled image sets.
    pub sample_sets: Vec<SampleSet>,
}
