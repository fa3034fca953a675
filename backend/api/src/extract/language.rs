//! The language of whoever asks: what their browser remembers, else what it asks for. Refuses to fail: whatever is not a
//! language of ours is English.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
};
use shared::language::{COOKIE, Language};

use super::identity;

/// What an answer in a language depends on, for caches.
pub(crate) const VARY: HeaderValue = HeaderValue::from_static("accept-language, cookie");

/// The language that a letter is written in, or a page drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spoken(pub(crate) Language);

/// The language that these headers ask for.
pub(crate) fn of(headers: &HeaderMap) -> Language {
    let chosen = identity::cookies(headers, COOKIE).find_map(Language::named);
    let asked = || {
        let asked = headers.get(header::ACCEPT_LANGUAGE);
        let asked = asked.and_then(|value| value.to_str().ok());
        asked.map_or(Language::English, Language::accepted)
    };
    chosen.unwrap_or_else(asked)
}

impl<S: Send + Sync> FromRequestParts<S> for Spoken {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(of(&parts.headers)))
    }
}
