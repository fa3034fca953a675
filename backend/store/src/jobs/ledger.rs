//! Locked rows, the only function that changes a job's state, and the events that tell of it.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    QuerySelect, sea_query::LockType,
};
use shared::{
    JobId, OrganisationId, Timestamp,
    job::JobStatus,
    progress::{JobEventBody, Progress},
    webhook::{EventData, EventType},
};

use super::attempts;
use crate::{
    Error,
    audit::{self, Deed},
    database::insert,
    entity::{job, job_event},
    text::{from_name, to_json},
    webhooks,
};

/// States in which a node holds a lease.
pub(crate) const LEASED: [&str; 3] = [
    JobStatus::Starting.as_str(),
    JobStatus::Running.as_str(),
    JobStatus::Canceling.as_str(),
];
/// States that count against an account's limit.
pub(crate) const ACTIVE: [&str; 4] = [
    JobStatus::Queued.as_str(),
    JobStatus::Starting.as_str(),
    JobStatus::Running.as_str(),
    JobStatus::Canceling.as_str(),
];

/// A job, locked until the transaction ends.
///
/// `NoKeyUpdate` lets rows that refer to the job be inserted meanwhile: no deadlock with them.
pub(crate) async fn lock(
    connection: &impl ConnectionTrait,
    job: JobId,
) -> Result<Option<job::Model>, Error> {
    let query = job::Entity::find_by_id(job.uuid()).lock(LockType::NoKeyUpdate);
    Ok(query.one(connection).await?)
}

/// The job, locked, if this token still holds its lease.
pub(crate) async fn lock_attempt(
    connection: &impl ConnectionTrait,
    job: JobId,
    token: i64,
) -> Result<Option<job::Model>, Error> {
    let row = lock(connection, job).await?;
    Ok(row.filter(|row| holds(row, token)))
}

/// Whether this token holds the job's lease.
pub(crate) fn holds(row: &job::Model, token: i64) -> bool {
    row.token == token && LEASED.contains(&row.status.as_str())
}

/// The state in a row.
pub(crate) fn status(row: &job::Model) -> Result<JobStatus, Error> {
    from_name("job status", &row.status)
}

/// Takes a locked job to its next state and tells so; the caller saves the row.
pub(crate) async fn transition(
    connection: &impl ConnectionTrait,
    row: &mut job::Model,
    next: JobStatus,
    reason: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let from = status(row)?;
    if !from.can_become(next) {
        return Err(Error::IllegalTransition { from, to: next });
    }
    next.as_str().clone_into(&mut row.status);
    reason.clone_into(&mut row.status_reason);
    if next == JobStatus::Running {
        row.started_at = row.started_at.or(Some(now.milliseconds()));
    }
    if next.is_final() {
        row.completed_at = Some(now.milliseconds());
    }
    if next.is_final() || next == JobStatus::Queued {
        row.lease_until = None;
        if LEASED.contains(&from.as_str()) {
            attempts::end(connection, row, next, reason, now).await?;
        }
    }
    tell_status(connection, row, now).await?;
    if next.is_final() {
        tell_end(connection, row, next, now).await?;
    }
    Ok(())
}

/// Writes the end of a job into its owner's audit log, and tells webhooks.
async fn tell_end(
    connection: &impl ConnectionTrait,
    row: &job::Model,
    end: JobStatus,
    now: Timestamp,
) -> Result<(), Error> {
    let (action, event) = match end {
        JobStatus::Succeeded => ("job.succeeded", EventType::JobSucceeded),
        JobStatus::Canceled => ("job.canceled", EventType::JobCanceled),
        _ => ("job.failed", EventType::JobFailed),
    };
    let (owner, id) = (
        OrganisationId::from_uuid(row.owner_id),
        JobId::from_uuid(row.id),
    );
    let deed = Deed::new(action, id).detail(row.kind.clone());
    audit::record(connection, owner, deed, now).await?;
    let data = EventData {
        id: id.to_string(),
        url: format!("/v1/jobs/{id}"),
    };
    webhooks::emit(connection, owner, (event, data), now).await
}

/// Takes a locked job from starting to running, once its device works; other states stay.
pub(crate) async fn start(
    connection: &impl ConnectionTrait,
    row: &mut job::Model,
    now: Timestamp,
) -> Result<(), Error> {
    if status(row)? != JobStatus::Starting {
        return Ok(());
    }
    transition(
        connection,
        row,
        JobStatus::Running,
        "The device works.",
        now,
    )
    .await
}

/// Adds the event that names the row's present state.
pub(crate) async fn tell_status(
    connection: &impl ConnectionTrait,
    row: &mut job::Model,
    now: Timestamp,
) -> Result<(), Error> {
    let body = JobEventBody::Status {
        status: status(row)?,
        reason: row.status_reason.clone(),
    };
    let event = next_event(row, &body, now)?;
    Ok(insert(connection, event).await?)
}

/// Adds what a device reports, and keeps the last step on the row.
pub(crate) async fn tell_progress(
    connection: &impl ConnectionTrait,
    row: &mut job::Model,
    progress: &[Progress],
    now: Timestamp,
) -> Result<(), Error> {
    let mut events = Vec::with_capacity(progress.len());
    for report in progress {
        if let Progress::Step(step) = report {
            row.progress = to_json("job progress", step)?;
        }
        let body = JobEventBody::Progress(report.clone());
        events.push(next_event(row, &body, now)?.into_active_model());
    }
    while !events.is_empty() {
        let later = events.split_off(at_once(events.len()));
        let together = std::mem::replace(&mut events, later);
        job_event::Entity::insert_many(together)
            .exec_without_returning(connection)
            .await?;
    }
    Ok(())
}

/// Most events of one statement.
const MAX_AT_ONCE: usize = 64;

/// How many of so many events one statement takes: a power of two, so that connections keep few statements prepared.
fn at_once(events: usize) -> usize {
    let events = events.min(MAX_AT_ONCE);
    1 << events.checked_ilog2().unwrap_or(0)
}

fn next_event(
    row: &mut job::Model,
    body: &JobEventBody,
    now: Timestamp,
) -> Result<job_event::Model, Error> {
    row.last_sequence += 1;
    Ok(job_event::Model {
        job_id: row.id,
        sequence: row.last_sequence,
        at: now.milliseconds(),
        body: to_json("job event", body)?,
    })
}

/// Writes a locked row back.
pub(crate) async fn save(connection: &impl ConnectionTrait, row: &job::Model) -> Result<(), Error> {
    job::Entity::update_many()
        .set(row.clone().into_active_model().reset_all())
        .filter(job::Column::Id.eq(row.id))
        .exec(connection)
        .await?;
    Ok(())
}
