//! What is known before a job is launched.

use serde::{Deserialize, Serialize};

use crate::{JobId, job::SecondsRange};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// Fine.
    Pass,
    /// Possible, but read this.
    Warn,
    /// Cannot be launched.
    Fail,
}

/// One line of the preflight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PreflightCheck {
    /// Stable code.
    pub code: String,
    /// How it came out.
    pub status: CheckStatus,
    /// What was looked at.
    pub title: String,
    /// What was found, and what to do.
    pub detail: String,
    /// The field that it belongs to, if any.
    pub pointer: Option<String>,
}

/// The whole preflight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Preflight {
    /// Whether no check failed.
    pub ready: bool,
    /// The job in one sentence.
    pub summary: String,
    /// Every check.
    pub checks: Vec<PreflightCheck>,
    /// Time to the gallery, from earlier jobs on this server; absent before the first one.
    pub estimate_seconds: Option<SecondsRange>,
    /// The probe that the checks are from, or one that is under way.
    #[serde(default)]
    pub probe: Option<JobId>,
    /// Nodes that are online.
    pub nodes_online: u32,
}
