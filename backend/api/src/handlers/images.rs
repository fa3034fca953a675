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
    content::send(&app, &headers, content).await
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
