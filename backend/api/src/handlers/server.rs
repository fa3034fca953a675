//! The server about itself: health, readiness, keys and the OpenAPI document.

use std::sync::Arc;

use axum::{
    Extension, Json as Body,
    extract::State,
    http::{HeaderMap, header},
    response::IntoResponse,
};

use crate::{
    app::{
        App,
        health::{self, Readiness},
        metrics,
    },
    error::Error,
    extract::identity::bearer,
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

/// Whether the process can serve requests: `ready`, or `ready without its broker`, which costs a second here and there.
#[utoipa::path(get, path = "/readyz", tag = "server",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn find_readiness(State(app): State<App>) -> Result<&'static str, Error> {
    Ok(match health::check(&app).await? {
        Readiness::Ready => "ready\n",
        Readiness::WithoutBroker => "ready without its broker\n",
    })
}

/// Counters in Prometheus' text form, for whoever shows the token of `PERSGUARD_METRICS_TOKEN_FILE`; absent without one.
#[utoipa::path(get, path = "/metrics", tag = "server",
    responses((status = 200, body = String, content_type = "application/openmetrics-text")))]
pub(crate) async fn find_metrics(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Error> {
    let text = metrics::read(&app, bearer(&headers)).await?;
    // Version 1.0.0 of OpenMetrics, which Prometheus asks for.
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text))
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
