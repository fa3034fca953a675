//! Conditional requests (RFC 9110, 13): a strong `ETag` of the representation, and `If-Match` before a change.

use axum::{
    Json as Body,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, header, request::Parts},
};
use serde::Serialize;

use crate::{error::Error, secret};

/// What the caller saw: the header `If-Match`, which changes need.
pub(crate) struct IfMatch(String);

/// The representation's `ETag`: its hash, whoever asks.
fn etag(representation: &impl Serialize) -> Result<String, Error> {
    let json = serde_json::to_vec(representation).map_err(Error::internal)?;
    Ok(format!("\"{}\"", &secret::sha256_hex(&json)[..32]))
}

/// A representation beside its `ETag`.
pub(crate) type Tagged<T> = ([(HeaderName, String); 1], Body<T>);

/// Adds the `ETag`.
pub(crate) fn tagged<T: Serialize>(body: T) -> Result<Tagged<T>, Error> {
    Ok(([(header::ETAG, etag(&body)?)], Body(body)))
}

impl IfMatch {
    /// Refuses a representation that is not the one that the caller saw.
    pub(crate) fn check(&self, present: &impl Serialize) -> Result<(), Error> {
        let present = etag(present)?;
        let mut seen = self.0.split(',').map(str::trim);
        if seen.any(|seen| seen == "*" || seen == present) {
            Ok(())
        } else {
            Err(Error::PreconditionFailed)
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        header_text(&parts.headers)
            .map(|text| Self(text.to_owned()))
            .ok_or(Error::PreconditionRequired)
    }
}

fn header_text(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::IF_MATCH)?.to_str().ok()?.trim();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_seen_matches() {
        let tag = etag(&"a").unwrap();
        assert!(IfMatch(tag.clone()).check(&"a").is_ok());
        assert!(IfMatch(format!("\"x\", {tag}")).check(&"a").is_ok());
        assert!(IfMatch("*".into()).check(&"a").is_ok());
        assert!(IfMatch(tag.clone()).check(&"b").is_err());
        assert!(IfMatch(format!("W/{tag}")).check(&"a").is_err(), "weak");
        assert!(IfMatch(tag.trim_matches('"').into()).check(&"a").is_err());
    }
}
