//! Releases: gates, consent of a second person, and what leaves.

use axum::{
    Json as Body,
    body::Body as Stream,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use shared::{
    ApprovalId, JobId,
    page::Page,
    release::{Approval, CreateApproval, DecideApproval, Release},
};

use super::location;
use crate::{
    app::{App, approvals, paging::Paging, principal::Principal, releases},
    error::Error,
    extract::{Id, Json, Listing, Tenant},
};

/// Whether the protected checkpoint of a job may leave: every gate with its numbers.
#[utoipa::path(get, path = "/v1/jobs/{id}/release", tag = "releases", params(("id" = JobId, Path)),
    responses((status = 200, body = Release)))]
pub(crate) async fn find_release(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<JobId>,
) -> Result<Body<Release>, Error> {
    releases::find(&app, owner, id).await.map(Body)
}

/// Weights, `persguard-disclosure.json` and a model card as one tar archive, once every gate passed.
#[utoipa::path(get, path = "/v1/jobs/{id}/release/archive", tag = "releases", params(("id" = JobId, Path)),
    responses((status = 200, content_type = "application/x-tar", body = Vec<u8>)))]
pub(crate) async fn read_release(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<JobId>,
) -> Result<Response, Error> {
    let bytes = releases::archive(app, owner, id).await?;
    Ok(tar(
        &format!("{id}-persguard.tar"),
        Stream::from_stream(bytes),
    ))
}

/// A tar archive as a download.
pub(super) fn tar(name: &str, bytes: Stream) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/x-tar".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
    ];
    (headers, bytes).into_response()
}

/// Asks a second person to consent to a release.
#[utoipa::path(post, path = "/v1/approvals", tag = "releases", request_body = CreateApproval,
    responses((status = 201, body = Approval)))]
pub(crate) async fn create_approval(
    State(app): State<App>,
    caller: Principal,
    Json(request): Json<CreateApproval>,
) -> Result<impl IntoResponse, Error> {
    let made = approvals::create(&app, (caller.organisation, caller.user), request).await?;
    let place = location(format!("/v1/approvals/{}", made.id));
    Ok((StatusCode::CREATED, place, Body(made)))
}

/// What the caller asked for and is asked, newest first.
#[utoipa::path(get, path = "/v1/approvals", tag = "releases", params(Paging),
    responses((status = 200, body = Page<Approval>)))]
pub(crate) async fn list_approvals(
    State(app): State<App>,
    caller: Principal,
    paging: Paging,
) -> Result<Listing<Approval>, Error> {
    approvals::list(&app, (caller.organisation, caller.user), &paging)
        .await
        .map(Listing)
}

/// One request.
#[utoipa::path(get, path = "/v1/approvals/{id}", tag = "releases", params(("id" = ApprovalId, Path)),
    responses((status = 200, body = Approval)))]
pub(crate) async fn find_approval(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<ApprovalId>,
) -> Result<Body<Approval>, Error> {
    approvals::find(&app, (caller.organisation, caller.user), id)
        .await
        .map(Body)
}

/// Consents or refuses; only the reviewer who was asked can.
#[utoipa::path(post, path = "/v1/approvals/{id}/decision", tag = "releases",
    params(("id" = ApprovalId, Path)), request_body = DecideApproval,
    responses((status = 200, body = Approval)))]
pub(crate) async fn decide_approval(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<ApprovalId>,
    Json(decision): Json<DecideApproval>,
) -> Result<Body<Approval>, Error> {
    let decided = approvals::decide(&app, &caller, id, decision).await?;
    Ok(Body(decided))
}
