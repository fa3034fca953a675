//! Accounts, sessions and access tokens.

use std::net::IpAddr;

use shared::{
    Timestamp, UserId,
    auth::{AccessToken, CreateSession, CreateUser, User},
};
use store::{NewUser, UserRecord};

use super::{App, tokens::Audience};
use crate::{error::Error, secret};

/// How long a browser session lasts.
pub const SESSION_SECONDS: i64 = 30 * 24 * 3600;

fn user(record: UserRecord) -> User {
    User {
        id: record.id,
        email: record.email,
        name: record.name,
        created_at: record.created_at,
    }
}

/// Creates an account and a session; gives the session's token.
pub async fn create_user(
    app: &App,
    address: IpAddr,
    request: CreateUser,
) -> Result<(User, String), Error> {
    Error::unless_valid(request.validate())?;
    app.limits()
        .addresses
        .take(&address.to_string(), app.now())?;
    let created = register(app, request).await?;
    let token = start_session(app, created.id).await?;
    Ok((user(created), token))
}

/// Creates an account without a session.
pub(crate) async fn register(app: &App, request: CreateUser) -> Result<UserRecord, Error> {
    let new = NewUser {
        email: request.email.trim().to_owned(),
        name: request.name.trim().to_owned(),
        password_hash: app.passwords().hash(request.password).await?,
    };
    Ok(app.store().create_user(new, app.now()).await?)
}

/// Signs in; gives the session's token.
pub async fn create_session(
    app: &App,
    address: IpAddr,
    request: CreateSession,
) -> Result<(User, String), Error> {
    let known = authenticate(app, address, request).await?;
    let token = start_session(app, known.id).await?;
    Ok((user(known), token))
}

/// Makes an access token for scripts.
pub async fn create_token(
    app: &App,
    address: IpAddr,
    request: CreateSession,
) -> Result<AccessToken, Error> {
    let known = authenticate(app, address, request).await?;
    let audience = Audience::Api;
    Ok(AccessToken {
        access_token: app
            .tokens()
            .issue(audience, &known.id.to_string(), app.now())?,
        token_type: "Bearer".into(),
        expires_in_seconds: audience.lifetime_seconds().unsigned_abs(),
    })
}

/// Unknown accounts and wrong passwords take the same time and get the same answer.
pub(crate) async fn authenticate(
    app: &App,
    address: IpAddr,
    request: CreateSession,
) -> Result<UserRecord, Error> {
    let email = request.email.trim().to_lowercase();
    app.limits()
        .addresses
        .take(&address.to_string(), app.now())?;
    app.limits()
        .accounts
        .take(&format!("{address} {email}"), app.now())?;
    // Hashing cost is bounded: nobody has a longer password.
    if request.password.chars().count() > shared::limits::MAX_PASSWORD_CHARACTERS {
        return Err(Error::InvalidCredentials);
    }
    let known = app.store().find_user_by_email(&email).await?;
    let stored = known.as_ref().map(|user| user.password_hash.clone());
    if !app.passwords().verify(request.password, stored).await? {
        return Err(Error::InvalidCredentials);
    }
    known.ok_or(Error::InvalidCredentials)
}

async fn start_session(app: &App, user: UserId) -> Result<String, Error> {
    let token = secret::random_text();
    let now = app.now();
    let end = Timestamp::from_milliseconds(now.milliseconds() + SESSION_SECONDS * 1000);
    app.store()
        .create_session(&hash(&token), user, now, end)
        .await?;
    Ok(token)
}

fn hash(token: &str) -> String {
    secret::sha256_hex(token.as_bytes())
}

/// Ends a session; one that is over already stays over.
pub async fn end_session(app: &App, token: &str) -> Result<(), Error> {
    Ok(app.store().delete_session(&hash(token), app.now()).await?)
}

/// The account behind a session token.
pub async fn find_user(app: &App, token: &str) -> Result<UserId, Error> {
    let found = app
        .store()
        .find_session_user(&hash(token), app.now())
        .await?;
    found.map(|user| user.id).ok_or(Error::Unauthenticated)
}

/// The same account, if it still exists.
pub async fn known_user(app: &App, user: UserId) -> Result<UserId, Error> {
    let found = app.store().find_user(user).await?;
    found.map(|user| user.id).ok_or(Error::Unauthenticated)
}

/// An account as its owner sees it.
pub async fn find_account(app: &App, id: UserId) -> Result<User, Error> {
    app.store()
        .find_user(id)
        .await?
        .map(user)
        .ok_or(Error::Unauthenticated)
}
