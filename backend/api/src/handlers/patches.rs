//! Patches: the pictures that patterns show.

use axum::{
    Json as Body,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use shared::{PatchId, objective::LICENCE_CARD, page::Page, patch::PatchImage};

use super::{
    content::{self, Content},
    location,
};
use crate::{
    app::{App, paging::Paging, patches},
    error::Error,
    extract::{Id, ImageFile, Listing, Tenant},
};

/// Adds a patch: a picture as the body. The same picture is the same patch.
#[utoipa::path(post, path = "/v1/patches", tag = "jobs",
    request_body(content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg"), (Vec<u8> = "image/webp"),
        (Vec<u8> = "image/tiff"))),
    responses((status = 201, body = PatchImage)))]
pub(crate) async fn create_patch(
    State(app): State<App>,
    Tenant(owner): Tenant,
    ImageFile { media_type, bytes }: ImageFile,
) -> Result<impl IntoResponse, Error> {
    let patch = patches::create(&app, owner, media_type, bytes).await?;
    let place = location(format!("/v1/patches/{}", patch.id));
    Ok((StatusCode::CREATED, place, Body(patch)))
}

/// The caller's patches, newest first.
#[utoipa::path(get, path = "/v1/patches", tag = "jobs", params(Paging),
    responses((status = 200, body = Page<PatchImage>)))]
pub(crate) async fn list_patches(
    State(app): State<App>,
    Tenant(owner): Tenant,
    paging: Paging,
) -> Result<Listing<PatchImage>, Error> {
    patches::list(&app, owner, &paging).await.map(Listing)
}

/// One patch.
#[utoipa::path(get, path = "/v1/patches/{id}", tag = "jobs", params(("id" = PatchId, Path)),
    responses((status = 200, body = PatchImage)))]
pub(crate) async fn find_patch(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<PatchId>,
) -> Result<Body<PatchImage>, Error> {
    patches::find(&app, owner, id).await.map(Body)
}

/// Removes a patch that no unfinished job shows.
#[utoipa::path(delete, path = "/v1/patches/{id}", tag = "jobs", params(("id" = PatchId, Path)),
    responses((status = 204)))]
pub(crate) async fn delete_patch(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<PatchId>,
) -> Result<StatusCode, Error> {
    patches::delete(&app, owner, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The picture, with its transparency.
#[utoipa::path(get, path = "/v1/patches/{id}/content", tag = "jobs",
    params(("id" = PatchId, Path)),
    responses((status = 200, content_type = "image/png", body = Vec<u8>)))]
pub(crate) async fn read_patch(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<PatchId>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let patch = patches::find(&app, owner, id).await?;
    let content = Content {
        sha256: &patch.sha256,
        size_bytes: patch.size_bytes,
        media_type: "image/png",
        save_as: None,
        public: false,
    };
    content::send(&app, &headers, content).await
}

/// The built-in licence card; public.
#[utoipa::path(get, path = "/v1/patches/licence-card/content", tag = "jobs",
    responses((status = 200, content_type = "image/png", body = Vec<u8>)))]
pub(crate) async fn read_licence_card(headers: HeaderMap) -> Response {
    content::send_static(&headers, "image/png", LICENCE_CARD)
}
