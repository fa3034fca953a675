//! The built dashboard: files as they lie there, the page itself for every other address.

use std::path::Path;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use tower::ServiceExt;
use tower_http::services::{ServeDir, ServeFile};

use crate::{app::App, error::Error};

const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

/// Serves what no route took.
pub(crate) async fn serve(State(app): State<App>, request: Request) -> Result<Response, Error> {
    let path = request.uri().path().to_owned();
    let Some(directory) = &app.config().frontend_dir else {
        return Err(Error::NotFound);
    };
    if path.starts_with("/v1/") || path.starts_with("/blobs/") {
        return Err(Error::NotFound);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allow = [(header::ALLOW, HeaderValue::from_static("GET,HEAD"))];
        return Ok((allow, Error::MethodNotAllowed).into_response());
    }
    let page = !path.rsplit('/').next().unwrap_or_default().contains('.');
    if page {
        return file(&directory.join("index.html"), request, REVALIDATE).await;
    }
    let cache = if has_hashed_name(&path) {
        IMMUTABLE
    } else {
        REVALIDATE
    };
    let service = ServeDir::new(directory)
        .precompressed_br()
        .append_index_html_on_directories(false);
    respond(service.oneshot(request).await, cache)
}

async fn file(path: &Path, request: Request, cache: HeaderValue) -> Result<Response, Error> {
    respond(
        ServeFile::new(path)
            .precompressed_br()
            .oneshot(request)
            .await,
        cache,
    )
}

fn respond<B, E: std::fmt::Display>(
    result: Result<axum::http::Response<B>, E>,
    cache: HeaderValue,
) -> Result<Response, Error>
where
    B: axum::body::HttpBody<Data = axum::body::Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    let mut response = result.map_err(Error::internal)?.map(Body::new);
    if response.status() == StatusCode::NOT_FOUND {
        return Err(Error::NotFound);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, cache);
    Ok(response)
}

/// Whether the file name ends in a content hash, such as `app-0a1b2c3d4e5f.js`.
fn has_hashed_name(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    let hash = stem.rsplit('-').next().unwrap_or_default();
    let hash = hash.strip_suffix("_bg").unwrap_or(hash);
    stem.contains('-') && hash.len() >= 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::has_hashed_name;

    #[test]
    fn only_names_with_a_hash_are_immutable() {
        assert!(has_hashed_name("/app-0a1b2c3d.js"));
        assert!(has_hashed_name("/assets/app-0a1b2c3d4e5f_bg.wasm"));
        assert!(!has_hashed_name("/index.html"));
        assert!(!has_hashed_name("/my-favourites.css"));
        assert!(!has_hashed_name("/0a1b2c3d.js"));
    }
}
