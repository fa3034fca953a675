//! The outermost layer: gives every request an id and a log line, and every failure a problem body.
//!
//! Logs the path but never the query: signatures and cursors stand there. The path of a shared page is a secret: only
//! its kind is logged. Where a browser asked for such a page, a failure is a page, too.

use std::{any::Any, time::Instant};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tracing::Instrument;

use crate::{
    error::Error,
    secret,
    share::{self, Reader},
};

pub(super) static REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Runs the request inside its span and finishes the response.
pub(crate) async fn finish(request: Request, next: Next) -> Response {
    let id = format!("req_{}", hex::encode(secret::random_bytes::<12>()));
    let method = request.method().clone();
    let shared = share::is_page(request.uri().path());
    let path = if shared {
        share::PLACE.to_owned()
    } else {
        request.uri().path().to_owned()
    };
    let page = (shared && share::wants_page(request.headers()))
        .then(|| Reader::new(request.headers(), None));
    let span = tracing::info_span!("request", request.id = %id, http.method = %method,
        http.path = %path, trace_id = tracing::field::Empty);
    if let Some(trace) = telemetry::trace_id() {
        span.record("trace_id", trace);
    }
    let start = Instant::now();
    async move {
        let mut response = problem(next.run(request).await, &method, &path, &id, page);
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID.clone(), value);
        }
        let milliseconds = start.elapsed().as_millis();
        let status = response.status().as_u16();
        tracing::debug!(http.status = status, milliseconds, "answered");
        response
    }
    .instrument(span)
    .await
}

/// Turns a panic into an answer; the message is for the log alone.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature that the layer calls"
)]
pub(crate) fn panicked(cause: Box<dyn Any + Send>) -> Response {
    let text = cause
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| cause.downcast_ref::<&str>().copied())
        .unwrap_or("panic without a message");
    Error::Internal(format!("panic: {text}")).into_response()
}

fn problem(
    response: Response,
    method: &Method,
    path: &str,
    id: &str,
    page: Option<Reader>,
) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    let error = parts
        .extensions
        .remove()
        .unwrap_or_else(|| Error::from_status(status));
    if let Some(cause) = error.cause() {
        tracing::error!(cause, "request failed");
    }
    let problem = error.problem(path, id);
    let (kind, body) = if let Some(reader) = page {
        if let Ok(policy) = HeaderValue::from_str(&share::policy(&[])) {
            let name = header::CONTENT_SECURITY_POLICY;
            parts.headers.insert(name, policy);
        }
        (
            "text/html; charset=utf-8",
            share::refusal(&problem, reader).into_bytes(),
        )
    } else {
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        ("application/problem+json", body)
    };
    parts.status = StatusCode::from_u16(problem.status).unwrap_or(status);
    let kind = HeaderValue::from_static(kind);
    parts.headers.insert(header::CONTENT_TYPE, kind);
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    parts
        .headers
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        Body::from(body)
    };
    Response::from_parts(parts, body)
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::get};
    use tower::ServiceExt;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    async fn broken() -> &'static str {
        panic!("the password is hunter2")
    }

    async fn full() -> Result<(), Error> {
        Err(artifacts::Error::NoSpace.into())
    }

    async fn ask(path: &str) -> (Response<Vec<u8>>, serde_json::Value) {
        let router = Router::new()
            .route("/broken", get(broken))
            .route("/full", get(full))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(axum::middleware::from_fn(finish));
        let request = Request::builder()
            .uri(path)
            .body(Body::empty())
            .expect("valid");
        let response = router.oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 10_000).await.expect("a body");
        let problem = serde_json::from_slice(&bytes).expect("JSON");
        (Response::from_parts(parts, bytes.to_vec()), problem)
    }

    #[tokio::test]
    async fn panic_is_a_problem_that_tells_nothing() {
        let (response, problem) = ask("/broken").await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        assert_eq!(problem["code"], "internal");
        assert_eq!(problem["retryable"], true);
        assert!(!problem.to_string().contains("hunter2"));
    }

    #[tokio::test]
    async fn full_disk_is_said_and_may_be_retried() {
        let (response, problem) = ask("/full").await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key("retry-after"));
        assert_eq!(problem["code"], "storage_unavailable");
        assert!(problem["detail"].as_str().expect("text").contains("full"));
    }
}
