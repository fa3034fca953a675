//! Bytes on their way out: whole or a range, cacheable by hash, streamed.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Mutex, PoisonError},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio_util::io::ReaderStream;

use super::range;
use crate::{
    app::{App, blobs},
    error::Error,
    secret,
};

const CHUNK: usize = 64 * 1024;

/// A file as a response describes it.
pub(crate) struct Content<'a> {
    /// Its key in the artifact store, and its strong `ETag`.
    pub(crate) sha256: &'a str,
    pub(crate) size_bytes: u64,
    pub(crate) media_type: &'a str,
    /// Name to save it under; absent: shown in place.
    pub(crate) save_as: Option<&'a str>,
    /// Whether anyone may see it.
    pub(crate) public: bool,
}

/// Answers with the file, a part of it, or "not modified".
pub(crate) async fn send(
    app: &App,
    headers: &HeaderMap,
    content: Content<'_>,
) -> Result<Response, Error> {
    let sha256 = content.sha256;
    answer(headers, &content, async |part| {
        let object = blobs::open(app, sha256, part).await?;
        let length = object.range.end - object.range.start;
        let stream = ReaderStream::with_capacity(object.reader, CHUNK);
        Ok((Body::from_stream(stream), length))
    })
    .await
}

/// The same for a file that is read as a whole, if at all.
pub(crate) async fn send_whole(
    headers: &HeaderMap,
    content: Content<'_>,
    read: impl Future<Output = Result<Vec<u8>, Error>> + Send,
) -> Result<Response, Error> {
    answer(headers, &content, async |part| {
        let mut bytes = Bytes::from(read.await?);
        if let Some(part) = part {
            // Inside the bytes: the part was cut to their size.
            let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
            bytes = bytes.slice(within(part.start)..within(part.end));
        }
        let length = bytes.len() as u64;
        Ok((Body::from(bytes), length))
    })
    .await
}

/// Answers with what is read: all of it, or the part that is asked for. Nothing is read for who has it already.
async fn answer(
    headers: &HeaderMap,
    content: &Content<'_>,
    read: impl AsyncFnOnce(Option<Range<u64>>) -> Result<(Body, u64), Error>,
) -> Result<Response, Error> {
    let etag = format!("\"{}\"", content.sha256);
    if is_fresh(headers, &etag) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        describe(&mut response, &etag, content)?;
        return Ok(response);
    }
    let size = content.size_bytes;
    let part = range::requested(headers, &etag, size);
    let part = part.map(|(start, length)| start..start + length);
    let (body, length) = read(part.clone()).await?;
    let mut response = body.into_response();
    describe(&mut response, &etag, content)?;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(part) = part {
        let value = format!("bytes {}-{}/{size}", part.start, part.end - 1);
        headers.insert(header::CONTENT_RANGE, text(&value)?);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// Answers with public bytes of the program itself, or "not modified".
pub(crate) fn send_static(
    headers: &HeaderMap,
    media_type: &'static str,
    bytes: &'static [u8],
) -> Response {
    let etag = static_etag(bytes);
    let fresh = [
        (header::ETAG, etag.clone()),
        (header::CACHE_CONTROL, "public, max-age=3600".into()),
    ];
    if is_fresh(headers, &etag) {
        return (StatusCode::NOT_MODIFIED, fresh).into_response();
    }
    (fresh, [(header::CONTENT_TYPE, media_type)], bytes).into_response()
}

/// The strong `ETag` of bytes of the program itself, hashed once: the largest are megabytes.
fn static_etag(bytes: &'static [u8]) -> String {
    static KNOWN: Mutex<BTreeMap<(usize, usize), String>> = Mutex::new(BTreeMap::new());
    let place = (bytes.as_ptr().addr(), bytes.len());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let etag = || format!("\"{}\"", secret::sha256_hex(bytes));
    known.entry(place).or_insert_with(etag).clone()
}

fn is_fresh(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    known.is_some_and(|known| known.split(',').any(|tag| tag.trim() == etag))
}

fn text(value: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(value).map_err(Error::internal)
}

fn describe(response: &mut Response, etag: &str, content: &Content<'_>) -> Result<(), Error> {
    let headers = response.headers_mut();
    headers.insert(header::ETAG, text(etag)?);
    headers.insert(header::CONTENT_TYPE, text(content.media_type)?);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let cache = if content.public {
        "public, max-age=3600"
    } else {
        "private, max-age=3600"
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Some(name) = content.save_as {
        let value = format!("attachment; filename=\"{}\"", plain(name));
        headers.insert(header::CONTENT_DISPOSITION, text(&value)?);
    }
    Ok(())
}

/// The last part of the name in characters that need no escape.
fn plain(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || "._-".contains(c) {
            c
        } else {
            '_'
        }
    };
    last.chars().map(safe).collect()
}
