//! A job as the ledger knows it.

use shared::{
    GalleryId, JobId, ModelId, NodeId, OrganisationId, SetId, Timestamp,
    job::{Failure, JobKind, JobMetrics, JobPlace, JobProgress, JobSpec, JobStatus},
};

use crate::{
    Error,
    entity::job,
    text::{from_json, from_json_opt, from_name, number},
};

/// Uploaded state from which another attempt can go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumePoint {
    /// Steps done.
    pub step: u32,
    /// SHA-256 of the state.
    pub sha256: String,
    /// Its size.
    pub size_bytes: u64,
}

/// A job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRecord {
    /// Identifies the job.
    pub id: JobId,
    /// Whose it is.
    pub owner_id: OrganisationId,
    /// The sealed set of its first concept; of an evaluation, that of the attacked one.
    pub set_id: SetId,
    /// The model that it protects it in.
    pub model_id: ModelId,
    /// The protect job that an evaluation belongs to.
    pub parent_id: Option<JobId>,
    /// What it does.
    pub kind: JobKind,
    /// Where it stands.
    pub status: JobStatus,
    /// Why it stands there, for people.
    pub status_reason: String,
    /// What it was told.
    pub spec: JobSpec,
    /// Higher goes first.
    pub priority: i32,
    /// Memory that its node must have, as far as somebody planned it; else 0.
    pub required_memory_bytes: u64,
    /// How many nodes tried it.
    pub attempts: u32,
    /// The fencing token: rises with every claim.
    pub token: i64,
    /// The node that claimed it last.
    pub node_id: Option<NodeId>,
    /// Until when that node may be silent, while it works.
    pub lease_until: Option<Timestamp>,
    /// Number of its last event.
    pub last_sequence: i64,
    /// How far it is.
    pub progress: JobProgress,
    /// Where another attempt can go on.
    pub resume: Option<ResumePoint>,
    /// What the device measured, once it succeeded.
    pub metrics: Option<JobMetrics>,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// The newest evaluation of each concept of a protect job, in the concepts' order; filled by finders
    /// that take the owner.
    pub evaluation_ids: Vec<JobId>,
    /// The gallery of an evaluation, or of a protect job's first concept that has one; filled as above.
    pub gallery_id: Option<GalleryId>,
    /// Where it runs or ran to its end; filled as above.
    pub place: Option<JobPlace>,
    /// The span that it was created by, in the form of W3C Trace Context.
    pub traceparent: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When a device first started on it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
}

fn resume(row: &job::Model) -> Result<Option<ResumePoint>, Error> {
    let (Some(step), Some(sha256), Some(size)) =
        (row.resume_step, &row.resume_sha256, row.resume_size_bytes)
    else {
        return Ok(None);
    };
    Ok(Some(ResumePoint {
        step: number("resume step", step)?,
        sha256: sha256.clone(),
        size_bytes: number("resume size", size)?,
    }))
}

impl TryFrom<job::Model> for JobRecord {
    type Error = Error;

    fn try_from(row: job::Model) -> Result<Self, Error> {
        Ok(Self {
            id: JobId::from_uuid(row.id),
            owner_id: OrganisationId::from_uuid(row.owner_id),
            set_id: SetId::from_uuid(row.set_id),
            model_id: ModelId::from_uuid(row.model_id),
            parent_id: row.parent_id.map(JobId::from_uuid),
            kind: from_name("job kind", &row.kind)?,
            status: from_name("job status", &row.status)?,
            spec: from_json("job specification", &row.spec)?,
            priority: row.priority,
            required_memory_bytes: number("memory size", row.required_memory_bytes)?,
            attempts: number("attempt count", row.attempts)?,
            token: row.token,
            node_id: row.node_id.map(NodeId::from_uuid),
            lease_until: row.lease_until.map(Timestamp::from_milliseconds),
            last_sequence: row.last_sequence,
            progress: from_json("job progress", &row.progress)?,
            resume: resume(&row)?,
            metrics: from_json_opt("job metrics", row.metrics.as_deref())?,
            failure: from_json_opt("job failure", row.failure.as_deref())?,
            evaluation_ids: Vec::new(),
            gallery_id: None,
            place: None,
            traceparent: row.traceparent,
            created_at: Timestamp::from_milliseconds(row.created_at),
            started_at: row.started_at.map(Timestamp::from_milliseconds),
            completed_at: row.completed_at.map(Timestamp::from_milliseconds),
            status_reason: row.status_reason,
        })
    }
}
