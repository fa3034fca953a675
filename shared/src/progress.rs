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
    /// The losses by noise band.
    Bands(Bands),
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

/// The means of the losses since the last report in three bands of timesteps: layout is decided where noise is
/// high, texture where it is low.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Bands {
    /// Injection step, from 1.
    pub step: u32,
    /// `t` in the lower third.
    pub low: BandLosses,
    /// `t` in the middle third.
    pub middle: BandLosses,
    /// `t` in the upper third.
    pub high: BandLosses,
}

/// The losses of one band; absent where no row fell into it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BandLosses {
    /// `L_BB`.
    pub backdoor: Option<f32>,
    /// `L_PP`.
    pub prior: Option<f32>,
    /// `L_BR`.
    pub retention: Option<f32>,
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
