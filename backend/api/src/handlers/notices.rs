//! Notices: a form for anyone, an answer for owners, a queue for administrators; and what the public may count.

use axum::{
    Json as Body,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
};
use serde::Deserialize;
use shared::{
    NoticeId,
    notice::{
        CreateNotice, DecideNotice, Notice, NoticeReceipt, NoticeStatus, QueuedNotice, Statement,
        Transparency,
    },
    page::Page,
};
use utoipa::IntoParams;

use super::location;
use crate::{
    app::{App, notices, paging::Paging},
    error::Error,
    extract::{CurrentUser, Id, Json, Listing, OwnedNotice, Tenant},
    layers::client::ClientAddress,
};

/// The header that proves who sent a notice.
const RECEIPT: &str = "notice-receipt";

fn receipt(headers: &HeaderMap) -> Option<&str> {
    headers.get(RECEIPT)?.to_str().ok()
}

/// Complains about a gallery or a job; needs no account. The answer proves that it arrived.
#[utoipa::path(post, path = "/v1/notices", tag = "notices", request_body = CreateNotice,
    responses((status = 201, body = NoticeReceipt)))]
pub(crate) async fn create_notice(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    Json(request): Json<CreateNotice>,
) -> Result<impl IntoResponse, Error> {
    let taken = notices::create(&app, address, request).await?;
    let place = location(format!("/v1/notices/{}", taken.id));
    let private = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, place, private, Body(taken)))
}

/// A notice for whoever sent it: the header `Notice-Receipt` proves that.
#[utoipa::path(get, path = "/v1/notices/{id}", tag = "notices",
    params(("id" = NoticeId, Path), ("Notice-Receipt" = String, Header)),
    responses((status = 200, body = Notice)))]
pub(crate) async fn find_notice(
    State(app): State<App>,
    Id(id): Id<NoticeId>,
    headers: HeaderMap,
) -> Result<Body<Notice>, Error> {
    let receipt = receipt(&headers).ok_or(Error::NotFound)?;
    notices::find(&app, id, receipt).await.map(Body)
}

/// Appeals a decision with the header `Notice-Receipt`; another administrator decides then.
#[utoipa::path(post, path = "/v1/notices/{id}/appeal", tag = "notices",
    params(("id" = NoticeId, Path), ("Notice-Receipt" = String, Header)),
    request_body = Statement, responses((status = 200, body = Notice)))]
pub(crate) async fn appeal_notice(
    State(app): State<App>,
    Id(id): Id<NoticeId>,
    headers: HeaderMap,
    Json(said): Json<Statement>,
) -> Result<Body<Notice>, Error> {
    let receipt = receipt(&headers).ok_or(Error::NotFound)?;
    notices::appeal(&app, (None, Some(receipt)), id, said)
        .await
        .map(Body)
}

/// Appeals a decision about an object of the caller; another administrator decides then.
#[utoipa::path(post, path = "/v1/received-notices/{id}/appeal", tag = "notices",
    params(("id" = NoticeId, Path)), request_body = Statement, responses((status = 200, body = Notice)))]
pub(crate) async fn appeal_received_notice(
    State(app): State<App>,
    OwnedNotice { owner, notice }: OwnedNotice,
    Json(said): Json<Statement>,
) -> Result<Body<Notice>, Error> {
    notices::appeal(&app, (Some(owner), None), notice.id, said)
        .await
        .map(Body)
}

/// Notices against the caller's objects, newest first.
#[utoipa::path(get, path = "/v1/received-notices", tag = "notices", params(Paging),
    responses((status = 200, body = Page<Notice>)))]
pub(crate) async fn list_received_notices(
    State(app): State<App>,
    Tenant(owner): Tenant,
    paging: Paging,
) -> Result<Listing<Notice>, Error> {
    notices::list_against(&app, owner, &paging)
        .await
        .map(Listing)
}

/// One notice against an object of the caller, with the statement of reasons.
#[utoipa::path(get, path = "/v1/received-notices/{id}", tag = "notices", params(("id" = NoticeId, Path)),
    responses((status = 200, body = Notice)))]
pub(crate) async fn find_received_notice(OwnedNotice { notice, .. }: OwnedNotice) -> Body<Notice> {
    Body(notice)
}

/// Answers a notice (counter-notice).
#[utoipa::path(put, path = "/v1/received-notices/{id}/answer", tag = "notices",
    params(("id" = NoticeId, Path)), request_body = Statement, responses((status = 200, body = Notice)))]
pub(crate) async fn answer_notice(
    State(app): State<App>,
    OwnedNotice { owner, notice }: OwnedNotice,
    Json(said): Json<Statement>,
) -> Result<Body<Notice>, Error> {
    notices::answer(&app, owner, notice.id, said)
        .await
        .map(Body)
}

/// Which notices.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Standing {
    /// Only those that stand so.
    #[serde(default)]
    status: Option<NoticeStatus>,
}

/// The queue of administrators, newest first.
#[utoipa::path(get, path = "/v1/admin/notices", tag = "notices", params(Standing, Paging),
    responses((status = 200, body = Page<QueuedNotice>)))]
pub(crate) async fn list_notices(
    State(app): State<App>,
    Query(standing): Query<Standing>,
    paging: Paging,
) -> Result<Listing<QueuedNotice>, Error> {
    notices::queue(&app, standing.status, &paging)
        .await
        .map(Listing)
}

/// Decides a notice with a statement of reasons; after an appeal somebody else must.
#[utoipa::path(post, path = "/v1/admin/notices/{id}/decision", tag = "notices",
    params(("id" = NoticeId, Path)), request_body = DecideNotice,
    responses((status = 200, body = QueuedNotice)))]
pub(crate) async fn decide_notice(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    Id(id): Id<NoticeId>,
    Json(decision): Json<DecideNotice>,
) -> Result<Body<QueuedNotice>, Error> {
    notices::decide(&app, user, id, decision).await.map(Body)
}

/// Counts by objective, subject and outcome; public, and about nobody.
#[utoipa::path(get, path = "/v1/transparency", tag = "notices",
    responses((status = 200, body = Transparency)))]
pub(crate) async fn find_transparency(State(app): State<App>) -> Result<Body<Transparency>, Error> {
    notices::transparency(&app).await.map(Body)
}

/// Where security reports go (RFC 9116).
#[utoipa::path(get, path = "/.well-known/security.txt", tag = "server",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn find_security_contact(
    State(app): State<App>,
) -> Result<impl IntoResponse, Error> {
    let contact = app.config().security_contact.clone();
    let contact = contact.ok_or(Error::NotFound)?;
    let year = 365 * 24 * 3_600_000;
    let end = shared::Timestamp::from_milliseconds(app.now().milliseconds() + year);
    let base = app.public_url().trim_end_matches('/');
    let text = format!(
        "Contact: {contact}\nExpires: {}\nCanonical: {base}/.well-known/security.txt\nPreferred-Languages: en\n",
        end.rfc3339()
    );
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text))
}
