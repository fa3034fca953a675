//! The private readers of what strangers send, by one narrow door: for the fuzz targets in `tests/fuzz` alone.
//!
//! Refuses to be an interface: each function hands over to the reader and to nothing else.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::de::DeserializeOwned;
use shared::{api_key::AddressBlock, problem::FieldError};

use crate::{
    app::{api_keys, paging},
    error::Error,
    etag,
    extract::{body, idempotency, identity, if_match},
    handlers::{model_imports, range},
    layers::client,
};

fn headers(name: HeaderName, value: &[u8]) -> Option<HeaderMap> {
    let value = HeaderValue::from_bytes(value).ok()?;
    Some(HeaderMap::from_iter([(name, value)]))
}

/// A JSON body or merge patch; what is wrong with it field by field, or nothing where it is no JSON.
pub fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Vec<FieldError>> {
    body::parse(bytes).map_err(|error| match error {
        Error::Malformed(_) => Vec::new(),
        Error::Invalid(errors) => errors,
        other => unreachable!("a body is malformed or invalid, not {other:?}"),
    })
}

/// `Range` for a file of `size` bytes: first byte and length.
pub fn range(value: &[u8], size: u64) -> Option<(u64, u64)> {
    range::requested(&headers(header::RANGE, value)?, "\"tag\"", size)
}

/// `Content-Range`: first byte, the byte behind the last one, and the size of the whole.
pub fn content_range(value: &str) -> Option<(u64, u64, u64)> {
    model_imports::parse(value).map(|part| (part.start, part.end, part.total))
}

/// `Idempotency-Key`.
pub fn idempotency_key(value: &[u8]) -> Option<&str> {
    idempotency::read(value)
}

/// Whether `If-Match` holds tags, and whether one of them is `tag`.
pub fn if_match(value: &str, tag: &str) -> (bool, bool) {
    (if_match::is_well_formed(value), etag::names(value, tag))
}

/// What follows `Authorization: Bearer`.
pub fn bearer(value: &[u8]) -> Option<String> {
    let headers = headers(header::AUTHORIZATION, value)?;
    identity::bearer(&headers).map(str::to_owned)
}

/// The session token of `Cookie`.
pub fn session_cookie(value: &[u8]) -> Option<String> {
    let headers = headers(header::COOKIE, value)?;
    identity::session_cookie(&headers).map(str::to_owned)
}

/// The client behind `X-Forwarded-For`.
pub fn client(peer: IpAddr, forwarded: &str, trusted: &[AddressBlock]) -> IpAddr {
    client::behind(peer, forwarded.split(','), trusted)
}

/// The id in a cursor: none where the cursor is empty.
pub fn cursor<T: std::str::FromStr>(text: &str) -> Result<Option<T>, String> {
    paging::cursor(Some(text)).map_err(|error| error.to_string())
}

/// Whether a text has the form of an API key.
pub fn is_api_key(text: &str) -> bool {
    api_keys::is_well_formed(text)
}
