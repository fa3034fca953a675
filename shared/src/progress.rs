//! What a job tells while it works: from the device to the browser in one shape.

use serde::{Deserialize, Serialize};

use crate::{
    Timestamp,
    job::{JobProgress, JobStatus},
};

/// One thing that a device reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Progress {
    /// A phase moved on.
    Step(JobProgress),
    /// The losses of one injection step.
    Losses(Losses),
    /// A line for people.
    Log {
        /// The line.
        line: String,
    },
}

/// The three losses of one step, before weighting.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Losses {
    /// Injection step, from 1.
    pub step: u32,
    /// Backdoor behaviour, `L_BB`.
    pub backdoor: f32,
    /// Prior preservation, `L_PP`.
    pub prior: f32,
    /// Backdoor retention, `L_BR`; 0 where it is off.
    pub retention: f32,
}

/// What a job's event stream carries; `sequence` is the SSE id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobEvent {
    /// Rises by one within a job.
    pub sequence: i64,
    /// When the server learned of it.
    pub at: Timestamp,
    /// What happened.
    pub event: JobEventBody,
}

/// What happened to a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum JobEventBody {
    /// The device reported.
    Progress(Progress),
    /// The state changed.
    Status {
        /// The new state.
        status: JobStatus,
        /// Why.
        reason: String,
    },
}
