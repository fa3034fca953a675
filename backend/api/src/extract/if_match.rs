//! The header `If-Match`.

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};

use crate::{error::Error, etag::IfMatch};

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            return Ok(Self(None));
        };
        let text = value
            .to_str()
            .map_err(|_| Error::Malformed("If-Match takes an ETag.".into()))?;
        Ok(Self(Some(text.to_owned())))
    }
}
