//! One answer for each `Idempotency-Key`, however often a request comes.
//!
//! Only successes are kept: what was refused may be mended and sent again under the same key. What has begun is brought
//! to its end, whether or not its caller still waits: its answer is what a repeated request gets.

use std::{panic, time::Duration};

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
use tokio::time::timeout;
use tracing::Instrument;

use crate::{
    app::{App, principal::Principal},
    error::Error,
    extract::OptionalIdempotencyKey,
    policy::{Repeats, Rule},
    router::REQUEST_TIMEOUT,
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
    rule: &'static Rule,
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
    rule: &'static Rule,
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
    let bytes = read(body, REQUEST_TIMEOUT).await?;
    let print = fingerprint(&parts, caller, &bytes);
    let request = Request::from_parts(parts, Body::from(bytes));
    let claim = Claim {
        app: app.clone(),
        rule,
        user: caller.user,
        key,
        print,
    };
    to_its_end(claim.answer(request, next)).await
}

/// One request under a key.
struct Claim {
    app: App,
    rule: &'static Rule,
    user: UserId,
    key: String,
    print: String,
}

impl Claim {
    /// What the first request with the key is answered, and every other one after it.
    async fn answer(self, request: Request, next: Next) -> Result<Response, Error> {
        let (user, key) = (self.user, self.key.as_str());
        let store = self.app.store();
        let begun = store.begin_idempotent(user, key, &self.print, self.app.now());
        match begun.await? {
            Begun::Mismatch => Err(Error::IdempotencyKeyReused),
            Begun::Running => Err(Error::Conflict(
                "The first request with this Idempotency-Key is still running.".into(),
            )),
            Begun::Replay(_) if self.rule.repeats.holds_secret() => Err(Error::Conflict(
                "This request was answered. Its answer held a secret, which is not kept.".into(),
            )),
            Begun::Replay(stored) => replay(stored),
            Begun::Fresh => first(&self.app, self.rule, (user, key), request, next).await,
        }
    }
}

/// The whole body: the timeout of the routes begins behind this.
async fn read(body: Body, patience: Duration) -> Result<Bytes, Error> {
    let read = timeout(patience, to_bytes(body, MAX_REQUEST)).await;
    read.map_err(|_| Error::Timeout)?
        .map_err(|_| Error::TooLarge)
}

/// Does the work even where its caller goes away meanwhile, as part of the same request.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let work = telemetry::carried(store::carried(work)).in_current_span();
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(cause) => panic::resume_unwind(cause),
            Err(stopped) => Err(Error::internal(stopped)),
        },
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::stream;
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn body_that_does_not_come_is_not_waited_for() {
        let slow = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let read_slow = read(slow, Duration::from_millis(50)).await;
        assert!(matches!(read_slow, Err(Error::Timeout)), "{read_slow:?}");
        let patience = Duration::from_secs(30);
        let large = Body::from(vec![b'x'; MAX_REQUEST + 1]);
        let read_large = read(large, patience).await;
        assert!(matches!(read_large, Err(Error::TooLarge)));
        assert_eq!(read(Body::from("{}"), patience).await.unwrap(), "{}");
    }

    #[tokio::test]
    async fn what_has_begun_ends_without_its_caller() {
        let (begun, go, done) = (
            Arc::new(Notify::new()),
            Arc::new(Notify::new()),
            Arc::new(Notify::new()),
        );
        let work = {
            let (begun, go, done) = (begun.clone(), go.clone(), done.clone());
            async move {
                begun.notify_one();
                go.notified().await;
                done.notify_one();
                Ok(())
            }
        };
        let caller = tokio::spawn(to_its_end(work));
        begun.notified().await;
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        go.notify_one();
        let ended = timeout(Duration::from_secs(10), done.notified()).await;
        assert!(ended.is_ok(), "it was dropped midway");
    }

    #[tokio::test]
    async fn panic_reaches_whoever_waits() {
        let nothing: Vec<u8> = Vec::new();
        let work = async move { Ok(nothing[0]) };
        let ended = tokio::spawn(to_its_end(work)).await;
        assert!(ended.unwrap_err().is_panic());
    }
}
