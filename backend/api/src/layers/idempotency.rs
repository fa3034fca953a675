//! One answer for each `Idempotency-Key`, however often a request comes.
//!
//! Only successes are kept: what was refused may be mended and sent again under the same key.

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequestParts, Request},
    http::{HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use shared::{UserId, limits::MAX_PATCH_BYTES};
use store::{Begun, StoredResponse};

use crate::{
    app::{App, principal::Principal},
    error::Error,
    extract::idempotency::OptionalIdempotencyKey,
    policy::{Repeats, Rule},
};

static REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The largest body of a request that is no stream.
#[expect(clippy::cast_possible_truncation, reason = "two MiB")]
const MAX_REQUEST: usize = MAX_PATCH_BYTES as usize;
/// The largest answer that is kept.
const MAX_RESPONSE: usize = 1024 * 1024;
/// Headers that belong to an answer wherever it is given again.
const KEPT: [HeaderName; 3] = [header::CONTENT_TYPE, header::LOCATION, header::RETRY_AFTER];

/// Runs a request, or repeats the answer that it got before.
pub(crate) async fn run(
    app: &App,
    rule: &Rule,
    caller: &Principal,
    request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::POST || rule.repeats == Repeats::Harmless {
        return next.run(request).await;
    }
    match once(app, rule, caller, request, next).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn once(
    app: &App,
    rule: &Rule,
    caller: &Principal,
    request: Request,
    next: Next,
) -> Result<Response, Error> {
    let (mut parts, body) = request.into_parts();
    let OptionalIdempotencyKey(key) =
        OptionalIdempotencyKey::from_request_parts(&mut parts, app).await?;
    let Some(key) = key else {
        if rule.repeats.needs_key() {
            return Err(Error::IdempotencyKeyRequired);
        }
        return Ok(next.run(Request::from_parts(parts, body)).await);
    };
    let bytes = to_bytes(body, MAX_REQUEST)
        .await
        .map_err(|_| Error::TooLarge)?;
    let print = fingerprint(&parts, caller, &bytes);
    let begun = app
        .store()
        .begin_idempotent(caller.user, &key, &print, app.now())
        .await?;
    match begun {
        Begun::Mismatch => Err(Error::IdempotencyKeyReused),
        Begun::Running => Err(Error::Conflict(
            "The first request with this Idempotency-Key is still running.".into(),
        )),
        Begun::Replay(_) if rule.repeats.holds_secret() => Err(Error::Conflict(
            "This request was answered. Its answer held a secret, which is not kept.".into(),
        )),
        Begun::Replay(stored) => replay(stored),
        Begun::Fresh => {
            let request = Request::from_parts(parts, Body::from(bytes));
            first(app, rule, (caller.user, &key), request, next).await
        }
    }
}

/// What makes two requests the same: route, organisation, and every byte of the body.
fn fingerprint(parts: &Parts, caller: &Principal, body: &Bytes) -> String {
    let mut digest = Sha256::new();
    for text in [
        parts.method.as_str(),
        parts.uri.path(),
        parts.uri.query().unwrap_or_default(),
        &caller.organisation.to_string(),
    ] {
        digest.update(text);
        digest.update("\n");
    }
    digest.update(body);
    hex::encode(digest.finalize())
}

async fn first(
    app: &App,
    rule: &Rule,
    (user, key): (UserId, &str),
    request: Request,
    next: Next,
) -> Result<Response, Error> {
    let response = next.run(request).await;
    let store = app.store();
    if !response.status().is_success() {
        store.abandon_idempotent(user, key).await?;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, MAX_RESPONSE)
        .await
        .map_err(Error::internal)?;
    let headers = KEPT.iter().filter_map(|name| {
        let value = parts.headers.get(name)?.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    let kept = if rule.repeats.holds_secret() {
        String::new()
    } else {
        String::from_utf8(bytes.to_vec()).map_err(Error::internal)?
    };
    let stored = StoredResponse {
        status: parts.status.as_u16(),
        headers: headers.collect(),
        body: kept,
    };
    store.finish_idempotent(user, key, &stored).await?;
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

fn replay(stored: StoredResponse) -> Result<Response, Error> {
    let mut response = stored.body.into_response();
    *response.status_mut() = StatusCode::from_u16(stored.status).map_err(Error::internal)?;
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    for (name, value) in stored.headers {
        let name: HeaderName = name.parse().map_err(Error::internal)?;
        headers.insert(name, value.parse().map_err(Error::internal)?);
    }
    headers.insert(REPLAYED.clone(), HeaderValue::from_static("true"));
    Ok(response)
}
