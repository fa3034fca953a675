//! Ids in paths, and the objects behind them: loaded, and the caller's own.

use std::str::FromStr;

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use shared::{JobId, SetId, UserId, job::Job, protected_set::ProtectedSet};

use super::CurrentUser;
use crate::{
    app::{App, jobs, protected_sets},
    error::Error,
};

/// The id of the path; what is not an id names nothing.
pub(crate) struct Id<T>(pub(crate) T);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for Id<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Error::NotFound)?;
        text.parse().map(Self).map_err(|_| Error::NotFound)
    }
}

/// The two ids of a path, in its order.
pub(crate) struct Ids<A, B>(pub(crate) A, pub(crate) B);

impl<S: Send + Sync, A: FromStr, B: FromStr> FromRequestParts<S> for Ids<A, B> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Path((outer, inner)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|_| Error::NotFound)?;
        match (outer.parse(), inner.parse()) {
            (Ok(outer), Ok(inner)) => Ok(Self(outer, inner)),
            _ => Err(Error::NotFound),
        }
    }
}

/// A protected set of the caller.
pub(crate) struct OwnedSet {
    pub(crate) owner: UserId,
    pub(crate) set: ProtectedSet,
}

impl FromRequestParts<App> for OwnedSet {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let CurrentUser(owner) = CurrentUser::from_request_parts(parts, app).await?;
        let Id(id) = Id::<SetId>::from_request_parts(parts, app).await?;
        let set = protected_sets::find(app, owner, id).await?;
        Ok(Self { owner, set })
    }
}

/// A job of the caller.
pub(crate) struct OwnedJob {
    pub(crate) owner: UserId,
    pub(crate) job: Job,
}

impl FromRequestParts<App> for OwnedJob {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let CurrentUser(owner) = CurrentUser::from_request_parts(parts, app).await?;
        let Id(id) = Id::<JobId>::from_request_parts(parts, app).await?;
        let job = jobs::find(app, owner, id).await?;
        Ok(Self { owner, job })
    }
}
