//! `?limit=1..100&after=<cursor>`.

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};

use crate::{app::paging::Paging, error::Error};

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let Query(paging) = Query::<Self>::try_from_uri(&parts.uri)
            .map_err(|error| Error::Malformed(error.body_text()))?;
        paging.check()
    }
}
