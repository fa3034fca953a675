//! The demo project and the bundled pictures; public.

use axum::{
    Json as Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::Response,
};
use shared::demo::Demo;

use super::content;
use crate::{
    app::{App, demo},
    error::Error,
    extract::{Spoken, language::VARY},
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

/// What the report may do: nothing but show itself. Styles and pictures lie inside the page.
const REPORT_POLICY: HeaderValue = HeaderValue::from_static(
    "sandbox allow-downloads; default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'",
);

/// A file of the evaluation that came with this version: `report.html`, `certificate.json` or `keys.json`.
#[utoipa::path(get, path = "/demo/evaluation/{file}", tag = "demo",
    params(("file" = String, Path, example = "certificate.json")),
    responses((status = 200, content((Vec<u8> = "text/html"), (serde_json::Value = "application/json")))))]
pub(crate) async fn find_evaluation_file(
    Path(file): Path<String>,
    Spoken(language): Spoken,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let file = demo::evaluation_file(&file, language).ok_or(Error::NotFound)?;
    let mut response = content::send_static(&headers, file.media_type, file.bytes);
    if let Some(language) = file.language {
        let told = HeaderValue::from_static(language.tag());
        response
            .headers_mut()
            .insert(header::CONTENT_LANGUAGE, told);
        response.headers_mut().insert(header::VARY, VARY);
    }
    let policy = header::CONTENT_SECURITY_POLICY;
    response.headers_mut().insert(policy, REPORT_POLICY);
    // Browsers may refuse a sandboxed page that also asks for an opener policy.
    let opener = HeaderName::from_static("cross-origin-opener-policy");
    let none = HeaderValue::from_static("unsafe-none");
    response.headers_mut().insert(opener, none);
    Ok(response)
}
