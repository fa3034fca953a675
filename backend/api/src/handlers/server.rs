//! The server about itself: health, readiness, keys and the OpenAPI document.

use std::sync::Arc;

use axum::{Extension, Json as Body, extract::State, http::header, response::IntoResponse};

use crate::{
    app::{App, health},
    error::Error,
};

/// The OpenAPI document as it is sent.
#[derive(Clone)]
pub(crate) struct Document(pub(crate) Arc<str>);

/// Whether the process lives.
#[utoipa::path(get, path = "/healthz", tag = "server",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn find_health() -> &'static str {
    "alive\n"
}

/// Whether the process can serve requests.
#[utoipa::path(get, path = "/readyz", tag = "server",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn find_readiness(State(app): State<App>) -> Result<&'static str, Error> {
    health::check(&app).await?;
    Ok("ready\n")
}

/// The keys that access tokens are signed with.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "server",
    responses((status = 200, body = serde_json::Value)))]
pub(crate) async fn find_key_set(State(app): State<App>) -> Body<serde_json::Value> {
    Body(app.tokens().key_set())
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "server",
    responses((status = 200, body = serde_json::Value)))]
pub(crate) async fn find_document(Extension(document): Extension<Document>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/json")],
        document.0.to_string(),
    )
}
