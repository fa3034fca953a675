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
        let text = header.to_str().unwrap_or_default().trim();
        let text = text.strip_prefix('"').unwrap_or(text);
        let key = text.strip_suffix('"').unwrap_or(text);
        let visible = key
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"');
        if key.is_empty() || key.len() > MAX_LENGTH || !visible {
            return Err(Error::Malformed(format!(
                "Idempotency-Key takes 1 to {MAX_LENGTH} visible ASCII characters."
            )));
        }
        Ok(Self(key.to_owned()))
    }
}
