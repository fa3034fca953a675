//! Who is asking: a person by session cookie or access token, a node by node token, or anyone.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use shared::{UserId, audit::AuditActor};

use crate::{
    app::{App, sessions, tokens::Audience},
    error::Error,
};

/// Name of the session cookie.
pub(crate) const SESSION_COOKIE: &str = "persguard_session";

/// A person who signed in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CurrentUser(pub(crate) UserId);

/// A person who may or may not have signed in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visitor(pub(crate) Option<UserId>);

/// A person who decides notices: one of those that the configuration names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Administrator(pub(crate) UserId);

/// A training node of this server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeIdentity;

impl FromRequestParts<App> for CurrentUser {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        if let Some(token) = bearer(&parts.headers) {
            let subject = app.tokens().verify(Audience::Api, token, app.now())?;
            let user = subject.parse().map_err(|_| Error::Unauthenticated)?;
            return sessions::known_user(app, user).await.map(known);
        }
        let token = session_cookie(&parts.headers).ok_or(Error::Unauthenticated)?;
        sessions::find_user(app, token).await.map(known)
    }
}

/// What this request changes is this person's doing.
fn known(user: UserId) -> CurrentUser {
    store::identify(AuditActor::User { user_id: user });
    CurrentUser(user)
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        match CurrentUser::from_request_parts(parts, app).await {
            Ok(CurrentUser(user)) => Ok(Self(Some(user))),
            Err(Error::Unauthenticated) => Ok(Self(None)),
            Err(error) => Err(error),
        }
    }
}

impl FromRequestParts<App> for Administrator {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let CurrentUser(user) = CurrentUser::from_request_parts(parts, app).await?;
        let email = sessions::find_account(app, user).await?.email;
        let named = &app.config().administrators;
        if named
            .iter()
            .any(|name| name.trim().eq_ignore_ascii_case(&email))
        {
            return Ok(Self(user));
        }
        Err(Error::Forbidden(
            "This is for the administrators of this server.".into(),
        ))
    }
}

impl FromRequestParts<App> for NodeIdentity {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let token = bearer(&parts.headers).ok_or(Error::Unauthenticated)?;
        app.tokens().verify(Audience::Node, token, app.now())?;
        store::identify(AuditActor::Node);
        Ok(Self)
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The session token of the request's cookies.
pub(crate) fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == SESSION_COOKIE).then_some(value))
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
