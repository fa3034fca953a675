//! The only writer of the job state machine: queue, leases, heartbeats, ends.
//!
//! The ledger in the database is the single truth; the fencing token of a claim, not a connection
//! or a memory, says who may report. Several servers may share the ledger: a broker only wakes them (`broker`), and one of them
//! makes the rounds for all (`leader`).

pub(crate) mod broker;
pub mod claim;
pub mod expiry;
pub mod finish;
pub mod heartbeat;
pub(crate) mod hub;
pub mod leader;
pub mod local_node;
pub(crate) mod look;
pub mod outputs;
pub(crate) mod probe;
mod report;
pub(crate) mod study;

use shared::{JobId, OrganisationId, job::JobKind};
use store::{JobRecord, NewJob};

use crate::{app::App, error::Error};

/// Nodes that may be lost on one job before it fails.
pub const MAX_ATTEMPTS: u32 = 3;

/// A probe goes first: it is short, and somebody looks at the form. An evaluation goes before new protections: somebody
/// waits for its gallery. A study has hours and goes last.
pub const fn priority(kind: JobKind) -> i32 {
    match kind {
        JobKind::Study => -1,
        JobKind::Protect => 0,
        JobKind::Evaluate => 1,
        JobKind::Probe => 2,
    }
}

/// Queues a job and wakes whoever waits for work.
pub(crate) async fn enqueue(app: &App, new: NewJob) -> Result<JobRecord, Error> {
    let job = app.store().enqueue_job(new, app.now()).await?;
    telemetry::note("persguard.job.id", job.id);
    app.hub().job_arrived();
    Ok(job)
}

/// Cancels a waiting job, or asks the node of a working one to stop.
pub(crate) async fn request_cancel(
    app: &App,
    owner: OrganisationId,
    id: JobId,
) -> Result<Option<JobRecord>, Error> {
    let job = app.store().request_cancel(owner, id, app.now()).await?;
    app.hub().job_moved(id);
    // The last cell of a study may have been canceled: then what puts it together waits now.
    app.hub().work_arrived();
    Ok(job)
}
