//! Protected sets: a draft collects images, an attestation seals it.

use axum::{Json as Body, extract::State, http::StatusCode, response::IntoResponse};
use shared::{
    SetId,
    page::Page,
    protected_set::{CreateAttestation, CreateProtectedSet, ProtectedSet},
};

use super::location;
use crate::{
    app::{App, paging::Paging, protected_sets},
    error::Error,
    extract::{Json, Listing, OwnedSet, Tenant},
};

/// Starts a set.
#[utoipa::path(post, path = "/v1/protected-sets", tag = "sets",
    request_body = CreateProtectedSet, responses((status = 201, body = ProtectedSet)))]
pub(crate) async fn create_set(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Json(request): Json<CreateProtectedSet>,
) -> Result<impl IntoResponse, Error> {
    let set = protected_sets::create(&app, owner, &request).await?;
    let place = location(format!("/v1/protected-sets/{}", set.id));
    Ok((StatusCode::CREATED, place, Body(set)))
}

/// The caller's sets, newest first.
#[utoipa::path(get, path = "/v1/protected-sets", tag = "sets", params(Paging),
    responses((status = 200, body = Page<ProtectedSet>)))]
pub(crate) async fn list_sets(
    State(app): State<App>,
    Tenant(owner): Tenant,
    paging: Paging,
) -> Result<Listing<ProtectedSet>, Error> {
    protected_sets::list(&app, owner, &paging)
        .await
        .map(Listing)
}

/// One set.
#[utoipa::path(get, path = "/v1/protected-sets/{id}", tag = "sets",
    params(("id" = SetId, Path)), responses((status = 200, body = ProtectedSet)))]
pub(crate) async fn find_set(OwnedSet { set, .. }: OwnedSet) -> Body<ProtectedSet> {
    Body(set)
}

/// Deletes a draft and its images.
#[utoipa::path(delete, path = "/v1/protected-sets/{id}", tag = "sets",
    params(("id" = SetId, Path)), responses((status = 204)))]
pub(crate) async fn delete_set(
    State(app): State<App>,
    OwnedSet { owner, set }: OwnedSet,
) -> Result<StatusCode, Error> {
    protected_sets::delete(&app, owner, &set).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Declares the rights and seals the set.
#[utoipa::path(put, path = "/v1/protected-sets/{id}/attestation", tag = "sets",
    params(("id" = SetId, Path)), request_body = CreateAttestation,
    responses((status = 200, body = ProtectedSet)))]
pub(crate) async fn seal_set(
    State(app): State<App>,
    OwnedSet { owner, set }: OwnedSet,
    Json(request): Json<CreateAttestation>,
) -> Result<Body<ProtectedSet>, Error> {
    protected_sets::seal(&app, owner, set, request)
        .await
        .map(Body)
}
