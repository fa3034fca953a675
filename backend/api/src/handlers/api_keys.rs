//! Keys for integrations.

use axum::{
    Json as Body,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use shared::{
    ApiKeyId,
    api_key::{ApiKey, CreateApiKey, CreatedApiKey, RotateApiKey, UpdateApiKey},
    page::Page,
};

use super::location;
use crate::{
    app::{App, api_keys, paging::Paging, principal::Principal},
    error::Error,
    etag::IfMatch,
    extract::{Id, Json, Listing, MergePatch, OptionalJson, Tenant, VersionHeader},
};

fn created(key: CreatedApiKey) -> impl IntoResponse {
    (
        StatusCode::CREATED,
        location(format!("/v1/api-keys/{}", key.api_key.id)),
        [(header::CACHE_CONTROL, "no-store")],
        Body(key),
    )
}

/// Makes a key; its secret is shown this once.
#[utoipa::path(post, path = "/v1/api-keys", tag = "keys", request_body = CreateApiKey,
    responses((status = 201, body = CreatedApiKey)))]
pub(crate) async fn create_api_key(
    State(app): State<App>,
    caller: Principal,
    Json(request): Json<CreateApiKey>,
) -> Result<impl IntoResponse, Error> {
    api_keys::create(&app, &caller, request).await.map(created)
}

/// The organisation's keys without their secrets, newest first.
#[utoipa::path(get, path = "/v1/api-keys", tag = "keys", params(Paging),
    responses((status = 200, body = Page<ApiKey>)))]
pub(crate) async fn list_api_keys(
    State(app): State<App>,
    Tenant(owner): Tenant,
    paging: Paging,
) -> Result<Listing<ApiKey>, Error> {
    api_keys::list(&app, owner, &paging).await.map(Listing)
}

/// One key without its secret.
#[utoipa::path(get, path = "/v1/api-keys/{id}", tag = "keys", params(("id" = ApiKeyId, Path)),
    responses((status = 200, body = ApiKey)))]
pub(crate) async fn find_api_key(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<ApiKeyId>,
) -> Result<Body<ApiKey>, Error> {
    api_keys::find(&app, owner, id).await.map(Body)
}

/// Changes a key's name or the addresses from which it may be used.
#[utoipa::path(patch, path = "/v1/api-keys/{id}", tag = "keys",
    params(("id" = ApiKeyId, Path), VersionHeader),
    request_body(content = UpdateApiKey, content_type = "application/merge-patch+json"),
    responses((status = 200, body = ApiKey)))]
pub(crate) async fn update_api_key(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<ApiKeyId>,
    condition: IfMatch,
    MergePatch(request): MergePatch<UpdateApiKey>,
) -> Result<Body<ApiKey>, Error> {
    api_keys::update(&app, &caller, id, &condition, &request)
        .await
        .map(Body)
}

/// Gives a key another secret; the old one works for the overlap. Only who made the key can.
#[utoipa::path(post, path = "/v1/api-keys/{id}/rotate", tag = "keys",
    params(("id" = ApiKeyId, Path)), request_body = Option<RotateApiKey>,
    responses((status = 201, body = CreatedApiKey)))]
pub(crate) async fn rotate_api_key(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<ApiKeyId>,
    OptionalJson(request): OptionalJson<RotateApiKey>,
) -> Result<impl IntoResponse, Error> {
    api_keys::rotate(&app, &caller, id, &request)
        .await
        .map(created)
}

/// Revokes a key at once; it stays in the list.
#[utoipa::path(delete, path = "/v1/api-keys/{id}", tag = "keys", params(("id" = ApiKeyId, Path)),
    responses((status = 204)))]
pub(crate) async fn revoke_api_key(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<ApiKeyId>,
) -> Result<StatusCode, Error> {
    api_keys::revoke(&app, owner, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
