//! Ids in paths, and the objects behind them: loaded, and the caller's own.

use std::str::FromStr;

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use shared::{
    JobId, NoticeId, OrganisationId, SetId, job::Job, notice::Notice, protected_set::ProtectedSet,
};

use super::Tenant;
use crate::{
    app::{App, jobs, notices, protected_sets},
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

/// Two ids of the path, in their order.
pub(crate) struct Ids<T, U>(pub(crate) T, pub(crate) U);

impl<S: Send + Sync, T: FromStr, U: FromStr> FromRequestParts<S> for Ids<T, U> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Path((first, second)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|_| Error::NotFound)?;
        match (first.parse(), second.parse()) {
            (Ok(first), Ok(second)) => Ok(Self(first, second)),
            _ => Err(Error::NotFound),
        }
    }
}

/// A protected set of the caller.
pub(crate) struct OwnedSet {
    pub(crate) owner: OrganisationId,
    pub(crate) set: ProtectedSet,
}

impl FromRequestParts<App> for OwnedSet {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let Tenant(owner) = Tenant::from_request_parts(parts, app).await?;
        let Id(id) = Id::<SetId>::from_request_parts(parts, app).await?;
        let set = protected_sets::find(app, owner, id).await?;
        Ok(Self { owner, set })
    }
}

/// A job of the caller.
pub(crate) struct OwnedJob {
    pub(crate) owner: OrganisationId,
    pub(crate) job: Job,
}

impl FromRequestParts<App> for OwnedJob {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let Tenant(owner) = Tenant::from_request_parts(parts, app).await?;
        let Id(id) = Id::<JobId>::from_request_parts(parts, app).await?;
        let job = jobs::find(app, owner, id).await?;
        Ok(Self { owner, job })
    }
}

/// A notice against an object of the caller.
pub(crate) struct OwnedNotice {
    pub(crate) owner: OrganisationId,
    pub(crate) notice: Notice,
}

impl FromRequestParts<App> for OwnedNotice {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let Tenant(owner) = Tenant::from_request_parts(parts, app).await?;
        let Id(id) = Id::<NoticeId>::from_request_parts(parts, app).await?;
        let notice = notices::find_against(app, owner, id).await?;
        Ok(Self { owner, notice })
    }
}
