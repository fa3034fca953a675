//! A span for every request, below the one that its caller names.
//!
//! A stranger's `traceparent` is followed: it can say of which trace their own requests are, and nothing else. Whether a
//! trace is kept is not theirs to say, and what they call things is not read. The span has the route and never the path:
//! ids and secrets stand there. It ends when the answer begins; what streams on is not measured.

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, header::AsHeaderName},
    middleware::Next,
    response::Response,
};
use telemetry::{TRACEPARENT, Tracer};

use super::{meter, respond::REQUEST_ID};

/// The word for methods that are a stranger's.
const OTHER: &str = "_OTHER";

/// Runs the request inside its span.
pub(crate) async fn follow(State(tracer): State<Tracer>, request: Request, next: Next) -> Response {
    let known = meter::method(request.method());
    let (method, verb) = (known.unwrap_or(OTHER), known.unwrap_or("HTTP"));
    let route = request.extensions().get::<MatchedPath>().cloned();
    let name = route.as_ref().map_or_else(
        || verb.to_owned(),
        |route| format!("{verb} {}", route.as_str()),
    );
    let span = tracer.request(name, only(request.headers(), TRACEPARENT));
    span.set("http.request.method", method);
    if let Some(route) = route {
        span.set("http.route", route.as_str().to_owned());
    }
    let response = span.within(next.run(request)).await;
    let status = response.status();
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if let Some(id) = only(response.headers(), &REQUEST_ID) {
        span.set("persguard.request.id", id.to_owned());
    }
    if status.is_server_error() {
        span.fail(status.as_str().to_owned());
    }
    response
}

/// The value of a header that stands there once.
fn only(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_that_stands_twice_is_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(only(&headers, TRACEPARENT), None);
        headers.append(TRACEPARENT, "one".parse().expect("a value"));
        assert_eq!(only(&headers, TRACEPARENT), Some("one"));
        headers.append(TRACEPARENT, "two".parse().expect("a value"));
        assert_eq!(only(&headers, TRACEPARENT), None);
    }
}
