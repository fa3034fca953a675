//! Uploads: announce, send to the signed URL, complete.

use axum::{Json as Body, extract::State, http::StatusCode, response::IntoResponse};
use serde::Deserialize;
use shared::{
    UploadId,
    upload::{CreateUpload, Upload},
};

use super::location;
use crate::{
    app::{App, uploads},
    error::Error,
    extract::{Id, Json, OptionalJson, Tenant},
};

/// Completing takes no parameters.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompleteUpload {}

/// Announces one image file.
#[utoipa::path(post, path = "/v1/uploads", tag = "sets", request_body = CreateUpload,
    responses((status = 201, body = Upload)))]
pub(crate) async fn create_upload(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Json(request): Json<CreateUpload>,
) -> Result<impl IntoResponse, Error> {
    let upload = uploads::create(&app, owner, &request).await?;
    let place = location(format!("/v1/uploads/{}", upload.id));
    Ok((StatusCode::CREATED, place, Body(upload)))
}

/// An upload with a freshly signed URL.
#[utoipa::path(get, path = "/v1/uploads/{id}", tag = "sets", params(("id" = UploadId, Path)),
    responses((status = 200, body = Upload)))]
pub(crate) async fn find_upload(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<UploadId>,
) -> Result<Body<Upload>, Error> {
    uploads::find(&app, owner, id).await.map(Body)
}

/// Checks, cleans and adds the image; repeating it gives the same answer.
#[utoipa::path(post, path = "/v1/uploads/{id}/complete", tag = "sets",
    params(("id" = UploadId, Path)), request_body = Option<CompleteUpload>,
    responses((status = 200, body = Upload)))]
pub(crate) async fn complete_upload(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<UploadId>,
    _: OptionalJson<CompleteUpload>,
) -> Result<Body<Upload>, Error> {
    uploads::complete(&app, owner, id).await.map(Body)
}
