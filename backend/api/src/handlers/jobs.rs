//! Jobs: preflight, launch, look, cancel, retry.

use axum::{
    Json as Body,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use shared::{
    JobId,
    artifact::Artifact,
    job::{Evaluation, Job, JobSpec},
    page::Page,
    preflight::Preflight,
};

use super::location;
use crate::{
    app::{App, jobs, paging::Paging, preflights, principal::Principal},
    error::Error,
    extract::{Id, IdempotencyKey, Json, Listing, OptionalIdempotencyKey, OwnedJob, Tenant},
};

fn accepted(job: Job) -> Response {
    let place = location(format!("/v1/jobs/{}", job.id));
    (StatusCode::ACCEPTED, place, Body(job)).into_response()
}

/// What is known before a job is launched.
#[utoipa::path(post, path = "/v1/preflights", tag = "jobs", request_body = JobSpec,
    responses((status = 200, body = Preflight)))]
pub(crate) async fn create_preflight(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Json(spec): Json<JobSpec>,
) -> Result<Body<Preflight>, Error> {
    preflights::create(&app, owner, &spec).await.map(Body)
}

/// Launches a job.
#[utoipa::path(post, path = "/v1/jobs", tag = "jobs", request_body = JobSpec,
    responses((status = 202, body = Job)))]
pub(crate) async fn create_job(
    State(app): State<App>,
    caller: Principal,
    IdempotencyKey(key): IdempotencyKey,
    Json(spec): Json<JobSpec>,
) -> Result<Response, Error> {
    jobs::create(&app, &caller, &key, &spec).await.map(accepted)
}

/// Attacks and judges a finished protect job again, for instance with a control set; its newest gallery counts for the
/// release.
#[utoipa::path(post, path = "/v1/jobs/{id}/evaluations", tag = "jobs", request_body = Evaluation,
    params(("id" = JobId, Path)),
    responses((status = 202, body = Job)))]
pub(crate) async fn create_evaluation(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<JobId>,
    IdempotencyKey(key): IdempotencyKey,
    Json(evaluation): Json<Evaluation>,
) -> Result<Response, Error> {
    let launched = jobs::evaluate(&app, &caller, &key, (id, evaluation));
    launched.await.map(accepted)
}

/// Starts a look at the base model before a launch: a job that `GET /v1/jobs/{id}` follows.
#[utoipa::path(post, path = "/v1/probes", tag = "jobs", request_body = JobSpec,
    responses((status = 202, body = Job)))]
pub(crate) async fn create_probe(
    State(app): State<App>,
    caller: Principal,
    IdempotencyKey(key): IdempotencyKey,
    Json(spec): Json<JobSpec>,
) -> Result<Response, Error> {
    jobs::probe(&app, &caller, &key, &spec).await.map(accepted)
}

/// The caller's jobs, newest first.
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", params(Paging),
    responses((status = 200, body = Page<Job>)))]
pub(crate) async fn list_jobs(
    State(app): State<App>,
    Tenant(owner): Tenant,
    paging: Paging,
) -> Result<Listing<Job>, Error> {
    jobs::list(&app, owner, &paging).await.map(Listing)
}

/// One job.
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "jobs", params(("id" = JobId, Path)),
    responses((status = 200, body = Job)))]
pub(crate) async fn find_job(OwnedJob { job, .. }: OwnedJob) -> Body<Job> {
    Body(job)
}

/// Asks a job to end; asking again changes nothing.
#[utoipa::path(post, path = "/v1/jobs/{id}/cancel", tag = "jobs", params(("id" = JobId, Path)),
    responses((status = 202, body = Job)))]
pub(crate) async fn cancel_job(
    State(app): State<App>,
    OwnedJob { owner, job }: OwnedJob,
) -> Result<Response, Error> {
    jobs::cancel(&app, owner, job.id).await.map(accepted)
}

/// Launches the same specification again.
#[utoipa::path(post, path = "/v1/jobs/{id}/retry", tag = "jobs", params(("id" = JobId, Path)),
    responses((status = 202, body = Job)))]
pub(crate) async fn retry_job(
    State(app): State<App>,
    OwnedJob { job, .. }: OwnedJob,
    caller: Principal,
    OptionalIdempotencyKey(key): OptionalIdempotencyKey,
) -> Result<Response, Error> {
    let retried = jobs::retry(&app, &caller, key.as_deref(), &job);
    retried.await.map(accepted)
}

/// What a job produced.
#[utoipa::path(get, path = "/v1/jobs/{id}/artifacts", tag = "jobs",
    params(("id" = JobId, Path), Paging), responses((status = 200, body = Page<Artifact>)))]
pub(crate) async fn list_artifacts(
    State(app): State<App>,
    OwnedJob { owner, job }: OwnedJob,
    paging: Paging,
) -> Result<Listing<Artifact>, Error> {
    jobs::artifacts(&app, owner, job.id, &paging)
        .await
        .map(Listing)
}
