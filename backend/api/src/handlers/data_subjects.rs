//! An account's data: an archive of everything, and its removal.

use axum::{
    Json as Body,
    body::Body as Stream,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use shared::{
    DeletionId, ExportId, OrganisationId, UserId,
    account_data::{CreateDeletion, DeletionReceipt, Export},
    page::Page,
};

use super::{location, releases::tar};
use crate::{
    app::{App, data_subjects, paging::Paging},
    error::Error,
    extract::{CurrentUser, Id, Json, Listing},
};

/// A person's own organisation carries the person's id.
const fn own(person: UserId) -> OrganisationId {
    OrganisationId::from_uuid(person.uuid())
}

/// Asks for an archive of everything of the account.
#[utoipa::path(post, path = "/v1/exports", tag = "accounts",
    responses((status = 202, body = Export)))]
pub(crate) async fn create_export(
    State(app): State<App>,
    CurrentUser(person): CurrentUser,
) -> Result<impl IntoResponse, Error> {
    let made = data_subjects::create_export(&app, own(person)).await?;
    let place = location(format!("/v1/exports/{}", made.id));
    Ok((StatusCode::ACCEPTED, place, Body(made)))
}

/// The caller's archives, newest first.
#[utoipa::path(get, path = "/v1/exports", tag = "accounts", params(Paging),
    responses((status = 200, body = Page<Export>)))]
pub(crate) async fn list_exports(
    State(app): State<App>,
    CurrentUser(person): CurrentUser,
    paging: Paging,
) -> Result<Listing<Export>, Error> {
    data_subjects::list_exports(&app, own(person), &paging)
        .await
        .map(Listing)
}

/// One archive.
#[utoipa::path(get, path = "/v1/exports/{id}", tag = "accounts", params(("id" = ExportId, Path)),
    responses((status = 200, body = Export)))]
pub(crate) async fn find_export(
    State(app): State<App>,
    CurrentUser(person): CurrentUser,
    Id(id): Id<ExportId>,
) -> Result<Body<Export>, Error> {
    data_subjects::find_export(&app, own(person), id)
        .await
        .map(Body)
}

/// The archive as a tar file, made while it is read.
#[utoipa::path(get, path = "/v1/exports/{id}/content", tag = "accounts", params(("id" = ExportId, Path)),
    responses((status = 200, content_type = "application/x-tar", body = Vec<u8>)))]
pub(crate) async fn read_export(
    State(app): State<App>,
    CurrentUser(person): CurrentUser,
    Id(id): Id<ExportId>,
) -> Result<Response, Error> {
    let bytes = data_subjects::read_export(app, own(person), id).await?;
    Ok(tar("persguard-account.tar", Stream::from_stream(bytes)))
}

/// Deletes the account and everything of it, for ever; the signed receipt names no person.
#[utoipa::path(post, path = "/v1/deletions", tag = "accounts", request_body = CreateDeletion,
    responses((status = 201, body = DeletionReceipt)))]
pub(crate) async fn create_deletion(
    State(app): State<App>,
    CurrentUser(person): CurrentUser,
    Json(request): Json<CreateDeletion>,
) -> Result<impl IntoResponse, Error> {
    let receipt = data_subjects::delete(&app, person, request).await?;
    let place = location(format!("/v1/deletions/{}", receipt.record.id));
    Ok((StatusCode::CREATED, place, Body(receipt)))
}

/// The receipt of a deletion; public for whoever knows its id.
#[utoipa::path(get, path = "/v1/deletions/{id}", tag = "accounts", params(("id" = DeletionId, Path)),
    responses((status = 200, body = DeletionReceipt)))]
pub(crate) async fn find_deletion(
    State(app): State<App>,
    Id(id): Id<DeletionId>,
) -> Result<Body<DeletionReceipt>, Error> {
    data_subjects::find_deletion(&app, id).await.map(Body)
}
