//! Cross-site request forgery: an unsafe request from another origin is refused.
//!
//! A browser sends `Origin` with every unsafe request and no page can forge it; scripts send none.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::Response,
};

use crate::{app::App, error::Error};

/// Refuses an unsafe method with an `Origin` that is not ours.
pub(crate) async fn check(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, Error> {
    let safe = request.method().is_safe();
    if safe || is_ours(request.headers(), app.public_url()) {
        return Ok(next.run(request).await);
    }
    Err(Error::Forbidden(
        "This request came from another site.".into(),
    ))
}

fn is_ours(headers: &HeaderMap, public_url: &str) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    // The host that the browser asked for is the origin's own where no proxy rewrites it; this
    // lets people reach one server as both `localhost` and `127.0.0.1`.
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let same_host = host.is_some_and(|host| {
        origin
            .split_once("://")
            .is_some_and(|(_, authority)| authority == host)
    });
    origin == public_url.trim_end_matches('/') || same_host
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(pairs: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        is_ours(&headers, "https://guard.example")
    }

    #[test]
    fn scripts_without_an_origin_are_ours() {
        assert!(ours(&[("host", "guard.example")]));
    }

    #[test]
    fn other_sites_and_opaque_origins_are_not_ours() {
        assert!(ours(&[("origin", "https://guard.example")]));
        assert!(ours(&[
            ("origin", "http://localhost:1"),
            ("host", "localhost:1")
        ]));
        assert!(!ours(&[
            ("origin", "https://evil.example"),
            ("host", "guard.example")
        ]));
        assert!(!ours(&[("origin", "null"), ("host", "guard.example")]));
        assert!(!ours(&[
            ("origin", "https://guard.example.evil"),
            ("host", "x")
        ]));
    }
}
