//! Signed addresses of the embedded artifact store: whoever holds one needs no session.

use artifacts::Method;
use axum::{
    body::Body,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use futures::TryStreamExt;
use tokio_util::io::StreamReader;

use super::content::{self, Content};
use crate::{
    app::{App, blobs, images},
    error::Error,
};

/// Stores the bytes that were announced.
#[utoipa::path(put, path = "/blobs/{key}", tag = "blobs", params(("key" = String, Path)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200)))]
pub(crate) async fn write_blob(
    State(app): State<App>,
    Path(key): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Error> {
    let grant = blobs::verify(&app, Method::Put, &key, &query.unwrap_or_default())?;
    check_length(&headers, grant.size_bytes)?;
    let stream = body.into_data_stream().map_err(std::io::Error::other);
    blobs::write(&app, &grant, &mut StreamReader::new(stream)).await?;
    Ok(StatusCode::OK)
}

/// Reads an object, or a part of it.
#[utoipa::path(get, path = "/blobs/{key}", tag = "blobs",
    params(("key" = String, Path), ("Range" = Option<String>, Header)),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>)))]
pub(crate) async fn read_blob(
    State(app): State<App>,
    Path(key): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let grant = blobs::verify(&app, Method::Get, &key, &query.unwrap_or_default())?;
    let image = blobs::granted_image(&app, &grant).await?;
    let sha256 = grant.hash.to_string();
    let content = Content {
        sha256: &sha256,
        size_bytes: grant.size_bytes,
        media_type: "application/octet-stream",
        save_as: None,
        public: false,
    };
    match image {
        None => content::send(&app, &headers, content).await,
        Some(image) => content::send_whole(&headers, content, images::read(&app, &image)).await,
    }
}

/// Refuses a body of another size before it is read.
fn check_length(headers: &HeaderMap, expected: u64) -> Result<(), Error> {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    let length: u64 = length
        .and_then(|length| length.parse().ok())
        .ok_or_else(|| Error::Malformed("Send the header Content-Length.".into()))?;
    match length.cmp(&expected) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(Error::TooLarge),
        std::cmp::Ordering::Less => Err(Error::ChecksumMismatch(format!(
            "{expected} bytes were announced, {length} are being sent."
        ))),
    }
}
