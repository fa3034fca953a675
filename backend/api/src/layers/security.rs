//! Headers that tell browsers what this server never does.

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};

use crate::app::App;

/// Own scripts, styles and wasm only; the dashboard sets widths through the CSSOM. Files go to this server or to the
/// bucket that it names.
fn content_security_policy(bucket: Option<&str>) -> String {
    let bucket = bucket
        .map(|origin| format!(" {origin}"))
        .unwrap_or_default();
    format!(
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; \
         img-src 'self' data: blob:; style-src 'self'; connect-src 'self'{bucket}; \
         object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}

const HEADERS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// A year on TLS, once somebody came by it; other services under the name are not spoken for.
const TRANSPORT: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Adds the headers to every response.
pub(crate) async fn add_headers(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if app.public_url().starts_with("https://") {
        let name = header::STRICT_TRANSPORT_SECURITY;
        response.headers_mut().insert(name, TRANSPORT);
    }
    let policy = content_security_policy(app.browser_origin());
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        // A page that brought its own keeps it.
        let name = header::CONTENT_SECURITY_POLICY;
        response.headers_mut().entry(name).or_insert(policy);
    }
    // A page that names the sites which may frame it: the older header knows no such list.
    let framed = response
        .headers()
        .get(header::CONTENT_SECURITY_POLICY)
        .and_then(|policy| policy.to_str().ok())
        .is_some_and(|policy| policy.contains("frame-ancestors 'self' http"));
    for (name, value) in HEADERS {
        if framed && name == header::X_FRAME_OPTIONS {
            continue;
        }
        response
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}
