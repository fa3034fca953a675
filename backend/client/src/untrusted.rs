//! The private readers of what servers answer, by one narrow door: for the fuzz targets in `tests/fuzz` alone.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

use crate::{retry, sse};

/// Identifier and data of every frame of an event stream that arrives in these pieces.
pub fn frames<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<(Option<String>, String)> {
    let mut parser = sse::Parser::default();
    let frames = pieces.flat_map(|piece| parser.push(piece));
    frames.map(|frame| (frame.id, frame.data)).collect()
}

/// The pause that `Retry-After` asks for, beside the answer's `Date`.
pub fn retry_after(value: &[u8], date: &[u8]) -> Option<Duration> {
    let header = |name: HeaderName, value| Some((name, HeaderValue::from_bytes(value).ok()?));
    let headers = [header(RETRY_AFTER, value)?, header(DATE, date)?];
    retry::asked(&HeaderMap::from_iter(headers))
}
