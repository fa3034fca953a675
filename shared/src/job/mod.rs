//! Jobs: the specification, what it protects, and the state machine.

use serde::{Deserialize, Serialize};

pub use self::{
    concept::{Action, Concept, SubjectKind},
    spec::{Ablation, Attackers, Budget, Evaluation, Injection, JobSpec, Mode, Retention},
};
use crate::{GalleryId, JobId, Timestamp};

mod concept;
mod spec;

/// Whether a text is one word of a prompt.
pub(crate) fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 32
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '@' | '_'))
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Trains the trigger into the base model.
    Protect,
    /// Attacks the clean and the protected model and judges both.
    Evaluate,
    /// Looks at the base model before anything is trained.
    Probe,
    /// Runs a part of the attack matrix on a protected model.
    Study,
}

/// Where a job stands. Succeeded, failed and canceled are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Waits for a node.
    Queued,
    /// A node holds the lease and fetches the inputs.
    Starting,
    /// The device works.
    Running,
    /// Cancel was asked for; the node has not confirmed yet.
    Canceling,
    /// Done; the outputs are published.
    Succeeded,
    /// Ended with a cause.
    Failed,
    /// Ended on request.
    Canceled,
}

impl JobStatus {
    /// Every status.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Starting,
        Self::Running,
        Self::Canceling,
        Self::Succeeded,
        Self::Failed,
        Self::Canceled,
    ];

    /// Whether nothing can follow.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }

    /// The transition table. A lost lease leads back to `Queued`.
    pub const fn can_become(self, next: Self) -> bool {
        use JobStatus::{Canceled, Canceling, Failed, Queued, Running, Starting, Succeeded};
        match self {
            Queued => matches!(next, Starting | Canceled | Failed),
            Starting => matches!(next, Running | Canceling | Queued | Failed),
            Running => matches!(next, Canceling | Queued | Succeeded | Failed),
            Canceling => matches!(next, Canceled | Failed | Succeeded),
            Succeeded | Failed | Canceled => false,
        }
    }

    /// The wire and database form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Canceling => "canceling",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

/// Why a job failed, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Failure {
    /// Stable code: `out_of_memory`, `diverged`, `node_lost`, `bad_input`, `disk_full`, `internal`.
    pub code: String,
    /// What happened.
    pub cause: String,
    /// The line that proves it.
    pub evidence: String,
    /// What to do.
    pub fix: String,
    /// Whether another attempt may succeed without a change.
    pub retryable: bool,
}

/// How far a job is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobProgress {
    /// What the device is doing, such as "Training the trigger".
    pub phase: String,
    /// Steps done in this phase.
    pub step: u32,
    /// Steps of this phase.
    pub total: u32,
}

/// A range of seconds, measured, never promised.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SecondsRange {
    /// Likely not sooner.
    pub low: f64,
    /// Likely not later.
    pub high: f64,
}

/// What the device measured of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobMetrics {
    /// Milliseconds of one training step (injection or attack), median.
    pub milliseconds_per_step: f64,
    /// Seconds from start to end on the device.
    pub seconds: f64,
    /// Peak resident memory of the trainer, without what lies on a device of its own.
    pub peak_memory_bytes: u64,
    /// What computed, as its driver calls it, or `CPU`; results are the same to the last bit on the same one alone.
    /// Absent where the node did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

impl JobMetrics {
    /// Most characters of a device's name.
    const LONGEST_DEVICE: usize = 100;

    /// The same without a device's name that no driver would give.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.device = self.device.filter(|name| {
            (1..=Self::LONGEST_DEVICE).contains(&name.chars().count())
                && !name.chars().any(char::is_control)
        });
        self
    }
}

/// Where a job runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobPlace {
    /// What the node is called.
    pub node: String,
    /// Which of its devices, such as `cpu` or `cuda:0`; absent where the node did not say.
    #[serde(default)]
    pub device: Option<String>,
}

/// Where to go from a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobUrls {
    /// This job.
    #[serde(rename = "self")]
    pub own: String,
    /// POST here to cancel.
    pub cancel: String,
    /// Server-sent events.
    pub events: String,
    /// What it produced.
    pub artifacts: String,
}

/// A job as its owner sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Job {
    /// Identifies the job.
    pub id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// Where it stands.
    pub status: JobStatus,
    /// Why it stands there, for people.
    pub status_reason: String,
    /// Jobs ahead of it while queued.
    pub queue_position: Option<u32>,
    /// What it was told.
    pub spec: JobSpec,
    /// The protect job that an evaluation belongs to.
    pub parent_id: Option<JobId>,
    /// The first evaluation that follows a protect job, once it exists.
    pub evaluation_id: Option<JobId>,
    /// Every evaluation that follows it, in the order of the concepts.
    #[serde(default)]
    pub evaluation_ids: Vec<JobId>,
    /// The gallery, once there is one.
    pub gallery_id: Option<GalleryId>,
    /// How many nodes tried it.
    pub attempts: u32,
    /// Where it runs, or ran to its end; absent while it waits, and where no node ever took it.
    #[serde(default)]
    pub place: Option<JobPlace>,
    /// How far it is.
    pub progress: JobProgress,
    /// Time left, if it can be told.
    pub eta_seconds: Option<SecondsRange>,
    /// What the device measured, once done.
    pub metrics: Option<JobMetrics>,
    /// Why it failed, if it did.
    pub error: Option<Failure>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When a device first started on it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// Where to go from here.
    pub urls: JobUrls,
}

#[cfg(test)]
mod tests;
