//! A picture as the whole body, announced by its media type.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use shared::upload::IMAGE_MEDIA_TYPES;

use super::body::too_large;
use crate::error::Error;

/// A picture that nobody has looked at yet.
pub(crate) struct ImageFile {
    /// What it was announced as: one of the accepted types.
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
}

impl<S: Send + Sync> FromRequest<S> for ImageFile {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let media_type = media_type(request.headers())?;
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|error| too_large(&error))?;
        Ok(Self {
            media_type,
            bytes: bytes.into(),
        })
    }
}

fn media_type(headers: &HeaderMap) -> Result<String, Error> {
    let announced = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase());
    announced
        .filter(|announced| IMAGE_MEDIA_TYPES.contains(&announced.as_str()))
        .ok_or_else(|| {
            let known = IMAGE_MEDIA_TYPES.join(", ");
            Error::UnsupportedMediaType(format!(
                "Send the picture itself, with a Content-Type of these: {known}."
            ))
        })
}
