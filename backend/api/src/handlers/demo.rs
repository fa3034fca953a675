//! The demo project and the bundled pictures; public.

use axum::{
    Json as Body,
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use shared::demo::Demo;

use super::content;
use crate::{
    app::{App, demo},
    error::Error,
};

/// The demo project as anyone may see it.
#[utoipa::path(get, path = "/v1/demo", tag = "demo", responses((status = 200, body = Demo)))]
pub(crate) async fn find_demo(State(app): State<App>) -> Result<Body<Demo>, Error> {
    demo::find(&app).await.map(Body)
}

/// A picture of a bundled set.
#[utoipa::path(get, path = "/demo/samples/{set}/{file}", tag = "demo",
    params(("set" = String, Path), ("file" = String, Path)),
    responses((status = 200, content_type = "image/png", body = Vec<u8>)))]
pub(crate) async fn find_sample(
    Path((set, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let bytes = demo::sample(&set, &file).ok_or(Error::NotFound)?;
    Ok(content::send_static(&headers, "image/png", bytes))
}
