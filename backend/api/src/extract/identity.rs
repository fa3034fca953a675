//! Who is asking, as the door found out: handlers never look at credentials themselves.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use shared::{NodeId, OrganisationId, UserId};

use crate::{
    app::{App, principal::Principal},
    error::Error,
};

/// Name of the session cookie.
pub(crate) const SESSION_COOKIE: &str = "persguard_session";

/// The organisation that the caller works in: whose things the request is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tenant(pub(crate) OrganisationId);

/// The person who is asking, for what is theirs alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CurrentUser(pub(crate) UserId);

/// Somebody who may or may not be known.
#[derive(Clone, Debug)]
pub(crate) struct Visitor(pub(crate) Option<Principal>);

/// A training node of this server: one that joined, or `None` for the server's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeIdentity(pub(crate) Option<NodeId>);

/// A rule that admits anyone stands before a handler that asks who is there: a defect of ours.
fn nobody() -> Error {
    Error::internal("the route's rule lets callers in unknown")
}

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parts.extensions.get().cloned().ok_or_else(nobody)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Tenant {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let principal = Principal::from_request_parts(parts, state).await?;
        Ok(Self(principal.organisation))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CurrentUser {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let principal = Principal::from_request_parts(parts, state).await?;
        Ok(Self(principal.user))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        Ok(Self(parts.extensions.get().cloned()))
    }
}

impl Visitor {
    /// The organisation that a known visitor works in.
    pub(crate) fn tenant(&self) -> Option<OrganisationId> {
        self.0.as_ref().map(|principal| principal.organisation)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for NodeIdentity {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parts.extensions.get().copied().ok_or_else(nobody)
    }
}

/// What follows `Authorization: Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The session token of the request's cookies.
pub(crate) fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    cookie(headers, SESSION_COOKIE)
}

/// A value of the request's cookies.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, wanted: &'a str) -> Option<&'a str> {
    cookies(headers, wanted).next()
}

/// Every value that the request's cookies have under a name.
pub(crate) fn cookies<'a>(
    headers: &'a HeaderMap,
    wanted: &'a str,
) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(move |(name, value)| (name == wanted).then_some(value))
}

/// A cookie that no script reads and no other site sends along; over TLS alone where the server has it.
pub(crate) fn set_cookie(
    app: &App,
    (name, path): (&str, &str),
    value: &str,
    seconds: i64,
) -> String {
    let secure = secure(app);
    format!("{name}={value}; HttpOnly; SameSite=Lax; Path={path}; Max-Age={seconds}{secure}")
}

/// What makes a cookie go over TLS alone, where the server has it.
pub(crate) fn secure(app: &App) -> &'static str {
    if app.public_url().starts_with("https://") {
        "; Secure"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append("cookie", "a=b; xpersguard_session=no".parse().unwrap());
        assert_eq!(session_cookie(&headers), None);
        headers.append("cookie", "c=d; persguard_session=abc".parse().unwrap());
        assert_eq!(session_cookie(&headers), Some("abc"));
    }

    #[test]
    fn only_the_bearer_scheme_counts() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Basic abc".parse().unwrap());
        assert_eq!(bearer(&headers), None);
        headers.insert("authorization", "bearer abc".parse().unwrap());
        assert_eq!(bearer(&headers), Some("abc"));
    }
}
