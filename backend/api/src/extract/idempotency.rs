//! The header `Idempotency-Key`, required or optional.

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::error::Error;

const MAX_LENGTH: usize = 255;

/// The client's own name for one request; quoted and bare forms are the same key.
pub(crate) struct IdempotencyKey(pub(crate) String);

/// The same where it may be left out.
pub(crate) struct OptionalIdempotencyKey(pub(crate) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for OptionalIdempotencyKey {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        if !parts.headers.contains_key("idempotency-key") {
            return Ok(Self(None));
        }
        let IdempotencyKey(key) = IdempotencyKey::from_request_parts(parts, state).await?;
        Ok(Self(Some(key)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let header = parts
            .headers
            .get("idempotency-key")
            .ok_or(Error::IdempotencyKeyRequired)?;
        let key = read(header.as_bytes()).ok_or_else(|| {
            Error::Malformed(format!(
                "Idempotency-Key takes 1 to {MAX_LENGTH} visible ASCII characters."
            ))
        })?;
        Ok(Self(key.to_owned()))
    }
}

pub(crate) fn read(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let text = text.strip_prefix('"').unwrap_or(text);
    let key = text.strip_suffix('"').unwrap_or(text);
    let visible = |byte: u8| byte.is_ascii_graphic() && byte != b'"';
    let fits = (1..=MAX_LENGTH).contains(&key.len()) && key.bytes().all(visible);
    fits.then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_keys_are_one_key_or_none() {
        assert_eq!(read(b"\"a\""), read(b"a"));
        let long = "k".repeat(MAX_LENGTH);
        crate::damage::each(&["\"a-key\"", "a-key", &long], |bytes| {
            if let Some(key) = read(bytes) {
                assert!((1..=MAX_LENGTH).contains(&key.len()), "{key}");
                assert!(!key.contains(['"', ' ', '\0']) && key.is_ascii(), "{key}");
                assert_eq!(read(format!("\"{key}\"").as_bytes()), Some(key));
            }
        });
    }
}
