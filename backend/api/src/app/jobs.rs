//! Jobs as their owner sees them: launch, look, cancel, retry.

use shared::{
    JobId, OrganisationId,
    artifact::Artifact,
    job::{Evaluation, Job, JobKind, JobSpec, JobStatus, JobUrls},
    page::Page,
};
use store::{JobRecord, NewJob};

use super::{
    App, artifacts, estimates,
    paging::Paging,
    preflights::{self, Facts},
    principal::Principal,
};
use crate::{dispatch, error::Error};

fn view(record: JobRecord) -> Job {
    let own = format!("/v1/jobs/{}", record.id);
    Job {
        id: record.id,
        kind: record.kind,
        status: record.status,
        status_reason: record.status_reason,
        queue_position: None,
        spec: record.spec,
        parent_id: record.parent_id,
        evaluation_id: record.evaluation_ids.first().copied(),
        evaluation_ids: record.evaluation_ids,
        gallery_id: record.gallery_id,
        attempts: record.attempts,
        place: record.place,
        progress: record.progress,
        eta_seconds: None,
        metrics: record.metrics,
        error: record.failure,
        created_at: record.created_at,
        started_at: record.started_at,
        completed_at: record.completed_at,
        urls: JobUrls {
            cancel: format!("{own}/cancel"),
            events: format!("{own}/events"),
            artifacts: format!("{own}/artifacts"),
            own,
        },
    }
}

/// Adds what only other rows can tell: the place in the queue, the time left.
async fn complete(app: &App, record: JobRecord) -> Result<Job, Error> {
    let queue_position = app.store().queue_position(&record).await?;
    let eta_seconds = match record.status {
        JobStatus::Running => estimates::time_left(app, &record).await?,
        _ => None,
    };
    Ok(Job {
        queue_position,
        eta_seconds,
        ..view(record)
    })
}

/// The owner's jobs, newest first.
pub async fn list(app: &App, owner: OrganisationId, paging: &Paging) -> Result<Page<Job>, Error> {
    let records = app
        .store()
        .list_jobs(owner, paging.after()?, paging.rows())
        .await?;
    let mut jobs = Vec::with_capacity(records.len());
    for record in records {
        jobs.push(complete(app, record).await?);
    }
    Ok(paging.page(jobs, |job| job.id))
}

/// A job of this owner.
pub async fn find(app: &App, owner: OrganisationId, id: JobId) -> Result<Job, Error> {
    let record = app
        .store()
        .find_job(owner, id)
        .await?
        .ok_or(Error::NotFound)?;
    complete(app, record).await
}

/// Launches a job; the key makes one job, even where its first answer was lost with the process.
pub async fn create(
    app: &App,
    caller: &Principal,
    key: &str,
    spec: &JobSpec,
) -> Result<Job, Error> {
    let key = own_key(caller, key);
    launch(app, caller.organisation, JobKind::Protect, Some(&key), spec).await
}

/// Starts a probe; the key makes one probe, as for jobs.
pub async fn probe(app: &App, caller: &Principal, key: &str, spec: &JobSpec) -> Result<Job, Error> {
    let key = own_key(caller, key);
    launch(app, caller.organisation, JobKind::Probe, Some(&key), spec).await
}

/// Two members of an organisation may choose the same key.
fn own_key(caller: &Principal, key: &str) -> String {
    format!("{} {key}", caller.user)
}

async fn launch(
    app: &App,
    owner: OrganisationId,
    kind: JobKind,
    key: Option<&str>,
    spec: &JobSpec,
) -> Result<Job, Error> {
    let facts = Facts::load(app, owner, spec).await?;
    facts.require(spec)?;
    preflights::require_weights(app, owner, spec).await?;
    let new = NewJob {
        owner_id: owner,
        kind,
        spec: spec.clone(),
        parent_id: None,
        priority: dispatch::priority(kind),
        required_memory_bytes: match kind {
            JobKind::Protect => facts.required_memory(spec),
            // It plans the memory: until then the weights are what is known.
            _ => facts.weights_bytes(),
        },
        idempotency_key: key.map(str::to_owned),
        traceparent: telemetry::here(),
    };
    complete(app, dispatch::enqueue(app, new).await?).await
}

/// Attacks and judges a finished protect job again, as another evaluation says; its newest gallery counts.
pub async fn evaluate(
    app: &App,
    caller: &Principal,
    key: &str,
    (id, evaluation): (JobId, Evaluation),
) -> Result<Job, Error> {
    let owner = caller.organisation;
    let parent = find(app, owner, id).await?;
    if parent.kind != JobKind::Protect || parent.status != JobStatus::Succeeded {
        return Err(Error::Conflict(
            "Only a protect job that ended well can be evaluated.".into(),
        ));
    }
    artifacts::require_weights(app, owner, id).await?;
    let spec = JobSpec {
        evaluation,
        ..parent.spec
    };
    let facts = Facts::load(app, owner, &spec).await?;
    facts.require(&spec)?;
    let required_memory_bytes = facts.required_memory(&spec);
    let new = NewJob {
        owner_id: owner,
        kind: JobKind::Evaluate,
        spec,
        parent_id: Some(id),
        priority: dispatch::priority(JobKind::Evaluate),
        required_memory_bytes,
        idempotency_key: Some(own_key(caller, key)),
        traceparent: telemetry::here(),
    };
    complete(app, dispatch::enqueue(app, new).await?).await
}

/// Launches a protect job without a key; for the demo.
pub(crate) async fn launch_own(
    app: &App,
    owner: OrganisationId,
    spec: &JobSpec,
) -> Result<Job, Error> {
    launch(app, owner, JobKind::Protect, None, spec).await
}

/// Asks a job to end.
pub async fn cancel(app: &App, owner: OrganisationId, id: JobId) -> Result<Job, Error> {
    let record = dispatch::request_cancel(app, owner, id)
        .await?
        .ok_or(Error::NotFound)?;
    match record.status {
        JobStatus::Succeeded | JobStatus::Failed => {
            Err(Error::Conflict("The job has ended already.".into()))
        }
        _ => complete(app, record).await,
    }
}

/// Launches the specification of a failed or canceled job again; a key makes one job, as for launches.
pub async fn retry(
    app: &App,
    caller: &Principal,
    key: Option<&str>,
    job: &Job,
) -> Result<Job, Error> {
    let key = key.map(|key| format!("{} retry {} {key}", caller.user, job.id));
    again(app, caller.organisation, key, job).await
}

/// The same without a key; for the demo.
pub(crate) async fn retry_own(app: &App, owner: OrganisationId, job: &Job) -> Result<Job, Error> {
    again(app, owner, None, job).await
}

async fn again(
    app: &App,
    owner: OrganisationId,
    key: Option<String>,
    job: &Job,
) -> Result<Job, Error> {
    if !matches!(job.status, JobStatus::Failed | JobStatus::Canceled) {
        return Err(Error::Conflict(
            "Only a failed or canceled job can be retried.".into(),
        ));
    }
    if let Some(needed) = built_on(job) {
        artifacts::require_weights(app, owner, needed).await?;
    }
    let record = app.store().find_job(owner, job.id).await?;
    let new = NewJob {
        owner_id: owner,
        kind: job.kind,
        spec: job.spec.clone(),
        parent_id: job.parent_id,
        priority: dispatch::priority(job.kind),
        required_memory_bytes: record.map_or(0, |record| record.required_memory_bytes),
        idempotency_key: key,
        traceparent: telemetry::here(),
    };
    complete(app, dispatch::enqueue(app, new).await?).await
}

/// The job whose weights another one starts from, or attacks.
fn built_on(job: &Job) -> Option<JobId> {
    match (&job.spec.evaluation.study, job.kind) {
        (Some(order), _) => Some(order.request.protect_job_id),
        (None, JobKind::Evaluate) => job.parent_id,
        (None, _) => job.spec.extends,
    }
}

/// What a job of this owner produced, by name.
pub async fn artifacts(
    app: &App,
    owner: OrganisationId,
    job: JobId,
    paging: &Paging,
) -> Result<Page<Artifact>, Error> {
    let after: Option<shared::ArtifactId> = paging.after()?;
    let mut records = app.store().list_artifacts(owner, job).await?;
    records.sort_by_key(|record| record.id);
    records.retain(|record| after.is_none_or(|after| record.id > after));
    records.truncate(usize::try_from(paging.rows()).unwrap_or(usize::MAX));
    Ok(paging.page(
        records
            .into_iter()
            .map(|file| artifacts::view(app, file))
            .collect(),
        |artifact| artifact.id,
    ))
}
