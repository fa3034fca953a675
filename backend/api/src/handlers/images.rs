//! Cleaned pictures of protected sets.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use shared::ImageId;

use super::content::{self, Content};
use crate::{
    app::{App, images},
    error::Error,
    extract::{Id, Tenant},
    secret,
};

/// The cleaned picture.
#[utoipa::path(get, path = "/v1/images/{id}/content", tag = "sets",
    params(("id" = ImageId, Path)),
    responses((status = 200, content_type = "image/png", body = Vec<u8>)))]
pub(crate) async fn read_image(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<ImageId>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let image = images::find(&app, owner, id).await?;
    let content = Content {
        sha256: &image.content_sha256,
        size_bytes: image.content_size_bytes,
        media_type: &image.content_media_type,
        save_as: None,
        public: false,
    };
    content::send_whole(&headers, content, images::read(&app, &image)).await
}

/// The picture small: a JPEG of at most 256 pixels a side.
#[utoipa::path(get, path = "/v1/images/{id}/thumbnail", tag = "sets",
    params(("id" = ImageId, Path)),
    responses((status = 200, content_type = "image/jpeg", body = Vec<u8>)))]
pub(crate) async fn read_thumbnail(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<ImageId>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let image = images::find(&app, owner, id).await?;
    let bytes = images::read_thumbnail(&app, &image).await?;
    let sha256 = secret::sha256_hex(&bytes);
    let content = Content {
        sha256: &sha256,
        size_bytes: bytes.len() as u64,
        media_type: "image/jpeg",
        save_as: None,
        public: false,
    };
    content::send_whole(&headers, content, async { Ok(bytes) }).await
}

/// Removes an image from a draft.
#[utoipa::path(delete, path = "/v1/images/{id}", tag = "sets", params(("id" = ImageId, Path)),
    responses((status = 204)))]
pub(crate) async fn delete_image(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<ImageId>,
) -> Result<StatusCode, Error> {
    images::delete(&app, owner, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
