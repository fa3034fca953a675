//! Studies: the attack matrix on a protected model.

use axum::{
    Json as Body,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use shared::{
    JobId,
    page::Page,
    study::{CreateStudy, Study, StudySummary},
};

use super::location;
use crate::{
    app::{App, paging::Paging, principal::Principal, studies},
    error::Error,
    extract::{Id, IdempotencyKey, Json, Listing, Spoken, Tenant},
};

/// Plans the attack matrix on a protected model, then runs it, as many jobs.
#[utoipa::path(post, path = "/v1/studies", tag = "results", request_body = CreateStudy,
    responses((status = 202, body = Study)))]
pub(crate) async fn create_study(
    State(app): State<App>,
    Spoken(language): Spoken,
    caller: Principal,
    IdempotencyKey(key): IdempotencyKey,
    Json(request): Json<CreateStudy>,
) -> Result<Response, Error> {
    let study = studies::create(&app, language, &caller, &key, request).await?;
    let place = location(format!("/v1/studies/{}", study.id));
    Ok((StatusCode::ACCEPTED, place, Body(study)).into_response())
}

/// The caller's studies, newest first.
#[utoipa::path(get, path = "/v1/studies", tag = "results", params(Paging),
    responses((status = 200, body = Page<StudySummary>)))]
pub(crate) async fn list_studies(
    State(app): State<App>,
    Tenant(owner): Tenant,
    paging: Paging,
) -> Result<Listing<StudySummary>, Error> {
    studies::list(&app, owner, &paging).await.map(Listing)
}

/// One study, with every cell that ended.
#[utoipa::path(get, path = "/v1/studies/{id}", tag = "results", params(("id" = JobId, Path)),
    responses((status = 200, body = Study)))]
pub(crate) async fn find_study(
    State(app): State<App>,
    Spoken(language): Spoken,
    Tenant(owner): Tenant,
    Id(id): Id<JobId>,
) -> Result<Body<Study>, Error> {
    studies::find(&app, language, owner, id).await.map(Body)
}

/// Ends a study; cells that are done are still put together, and asking again stops that too.
#[utoipa::path(post, path = "/v1/studies/{id}/cancel", tag = "results", params(("id" = JobId, Path)),
    responses((status = 202, body = Study)))]
pub(crate) async fn cancel_study(
    State(app): State<App>,
    Spoken(language): Spoken,
    Tenant(owner): Tenant,
    Id(id): Id<JobId>,
) -> Result<Response, Error> {
    let study = studies::cancel(&app, language, owner, id).await?;
    Ok((StatusCode::ACCEPTED, Body(study)).into_response())
}
