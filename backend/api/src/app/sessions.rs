//! Accounts, and signing in: passwords, second factors, browser sessions, access and refresh tokens.

use std::net::IpAddr;

use shared::{
    OrganisationId, SessionId, Timestamp, UserId,
    auth::{
        AccessToken, CreateSession, CreateToken, CreateUser, Session, ShowRefreshToken, UpdateUser,
        User,
    },
    language::Language,
};
use store::{Exchanged, Grant, NewSession, NewUser, SessionRecord, UserRecord};

use super::{
    App, letters, lockout,
    principal::{Credential, Principal},
    rate_limit::household,
    second_factors,
    tokens::Audience,
};
use crate::{error::Error, etag::IfMatch, secret};

/// How long a browser session lasts.
pub const SESSION_SECONDS: i64 = 30 * 24 * 3600;
/// How long a refresh token waits to be used.
const REFRESH_SECONDS: i64 = 30 * 24 * 3600;
const MAX_USER_AGENT: usize = 200;

/// The browser that signs in.
#[derive(Clone, Debug)]
pub struct Browser {
    /// Where it is.
    pub address: IpAddr,
    /// What it calls itself.
    pub user_agent: String,
    /// What its reader reads.
    pub language: Language,
}

/// Whether the configuration names this proven address as an administrator's.
pub(crate) fn is_administrator(app: &App, proven_email: Option<&str>) -> bool {
    let mut named = app.config().administrators.iter();
    proven_email.is_some_and(|email| named.any(|name| name.trim().eq_ignore_ascii_case(email)))
}

async fn view(app: &App, record: UserRecord) -> Result<User, Error> {
    let second_factor = second_factors::is_on(app, record.id).await?;
    let proven = record.email_verified_at.map(|_| record.email.as_str());
    Ok(User {
        administrator: is_administrator(app, proven),
        id: record.id,
        email: record.email,
        name: record.name,
        email_verified: record.email_verified_at.is_some(),
        second_factor,
        has_password: record.password_hash.is_some(),
        created_at: record.created_at,
    })
}

/// Creates an account and a session; gives the session's token.
pub async fn create_user(
    app: &App,
    browser: Browser,
    request: CreateUser,
) -> Result<(User, String), Error> {
    Error::unless_valid(request.validate())?;
    let created = register(app, request).await?;
    letters::ask_to_verify(app, browser.language, &created).await?;
    let token = start_session(app, created.id, browser).await?;
    Ok((view(app, created).await?, token))
}

/// Creates an account without a session.
pub(crate) async fn register(app: &App, request: CreateUser) -> Result<UserRecord, Error> {
    let new = NewUser {
        email: request.email.trim().to_owned(),
        name: request.name.trim().to_owned(),
        password_hash: Some(app.passwords().hash(request.password).await?),
    };
    Ok(app.store().create_user(new, app.now()).await?)
}

/// Signs in; gives the session's token.
pub async fn create_session(
    app: &App,
    browser: Browser,
    request: CreateSession,
) -> Result<(User, String), Error> {
    let login = Login {
        email: request.email,
        password: request.password,
        code: request.code,
    };
    let known = authenticate(app, browser.address, login).await?;
    let token = start_session(app, known.id, browser).await?;
    Ok((view(app, known).await?, token))
}

/// Makes an access token and a refresh token for scripts.
pub async fn create_token(
    app: &App,
    address: IpAddr,
    request: CreateToken,
) -> Result<AccessToken, Error> {
    let login = Login {
        email: request.email,
        password: request.password,
        code: request.code,
    };
    let known = authenticate(app, address, login).await?;
    let own = OrganisationId::from_uuid(known.id.uuid());
    let organisation = request.organisation_id.unwrap_or(own);
    let role = app.store().find_role(known.id, organisation).await?;
    role.ok_or(Error::NotFound)?;
    let grant = Grant {
        user: known.id,
        organisation,
    };
    let refresh = new_refresh_token();
    app.store()
        .create_refresh_token(
            &secret::digest(&refresh),
            grant,
            app.now(),
            refresh_end(app),
        )
        .await?;
    pair(app, grant, refresh)
}

/// The next pair of tokens; a refresh token that was used before ends its whole family.
pub async fn refresh(app: &App, request: &ShowRefreshToken) -> Result<AccessToken, Error> {
    let next = new_refresh_token();
    let exchanged = app
        .store()
        .exchange_refresh_token(
            &secret::digest(&request.refresh_token),
            &secret::digest(&next),
            app.now(),
            refresh_end(app),
        )
        .await?;
    match exchanged {
        Exchanged::Rotated(grant) => pair(app, grant, next),
        Exchanged::Unknown => Err(Error::Unauthenticated),
        Exchanged::Reused(user) => {
            tracing::warn!(user.id = %user, "a refresh token came twice: its family is over");
            Err(Error::Unauthenticated)
        }
    }
}

/// Ends the family of a refresh token; an unknown one has ended already.
pub async fn revoke(app: &App, request: &ShowRefreshToken) -> Result<(), Error> {
    let hash = secret::digest(&request.refresh_token);
    Ok(app.store().end_refresh_family(&hash).await?)
}

pub(crate) fn new_refresh_token() -> String {
    format!("pgr_{}", secret::random_text())
}

pub(crate) fn refresh_end(app: &App) -> Timestamp {
    app.later(REFRESH_SECONDS * 1000)
}

/// A pair of tokens whose refresh token is stored.
pub(crate) fn pair(app: &App, grant: Grant, refresh_token: String) -> Result<AccessToken, Error> {
    let token = app
        .tokens()
        .issue_person(grant.user, grant.organisation, app.now())?;
    Ok(AccessToken {
        access_token: token,
        token_type: "Bearer".into(),
        expires_in_seconds: Audience::Api.lifetime_seconds().unsigned_abs(),
        refresh_token,
        refresh_expires_in_seconds: REFRESH_SECONDS.unsigned_abs(),
    })
}

struct Login {
    email: String,
    password: String,
    code: Option<String>,
}

/// Unknown accounts and wrong passwords take the same time and get the same answer.
async fn authenticate(app: &App, address: IpAddr, login: Login) -> Result<UserRecord, Error> {
    let email = login.email.trim().to_lowercase();
    app.limits()
        .accounts
        .take(&format!("{} {email}", household(address)), app.now())?;
    let subject = lockout::of_address(&email);
    lockout::ensure_open(app, &subject).await?;
    match prove(app, &email, login).await {
        Err(error @ Error::InvalidCredentials) => {
            lockout::count(app, &subject).await?;
            Err(error)
        }
        Ok(user) => {
            // Many guesses at once may have come in before the lock fell.
            lockout::ensure_open(app, &subject).await?;
            lockout::clear(app, &subject).await?;
            Ok(user)
        }
        other => other,
    }
}

async fn prove(app: &App, email: &str, login: Login) -> Result<UserRecord, Error> {
    let known = app.store().find_user_by_email(email).await?;
    let stored = known.as_ref().and_then(|user| user.password_hash.clone());
    if !app.passwords().verify(login.password, stored).await? {
        return Err(Error::InvalidCredentials);
    }
    let known = known.ok_or(Error::InvalidCredentials)?;
    second_factors::require(app, known.id, login.code.as_deref()).await?;
    Ok(known)
}

/// Starts a session of somebody who proved who they are; gives its token.
pub(crate) async fn start_session(
    app: &App,
    user_id: UserId,
    browser: Browser,
) -> Result<String, Error> {
    let token = secret::random_text();
    let now = app.now();
    let mut user_agent = browser.user_agent;
    user_agent.retain(|c| !c.is_control());
    let session = NewSession {
        token_hash: secret::digest(&token),
        user_id,
        user_agent: user_agent.chars().take(MAX_USER_AGENT).collect(),
        address: browser.address.to_string(),
        expires_at: Timestamp::from_milliseconds(now.milliseconds() + SESSION_SECONDS * 1000),
    };
    app.store().create_session(session, now).await?;
    Ok(token)
}

/// Ends a session; one that is over already stays over.
pub async fn end_session(app: &App, token: &str) -> Result<(), Error> {
    Ok(app
        .store()
        .delete_session(&secret::digest(token), app.now())
        .await?)
}

/// The session behind a cookie.
pub(crate) async fn find(app: &App, token: &str) -> Result<SessionRecord, Error> {
    let found = app
        .store()
        .find_session(&secret::digest(token), app.now())
        .await?;
    let session = found.ok_or(Error::Unauthenticated)?;
    app.store().touch_session(&session, app.now()).await?;
    Ok(session)
}

/// The person's sessions, newest first.
pub async fn list(app: &App, caller: &Principal) -> Result<Vec<Session>, Error> {
    let sessions = app.store().list_sessions(caller.user, app.now()).await?;
    let view = |session: SessionRecord| Session {
        current: caller.credential == Credential::Session(session.token_hash),
        id: session.id,
        organisation_id: session.organisation_id,
        user_agent: session.user_agent,
        address: session.address,
        created_at: session.created_at,
        seen_at: session.seen_at,
        expires_at: session.expires_at,
    };
    Ok(sessions.into_iter().map(view).collect())
}

/// Ends one of the person's sessions.
pub async fn end(app: &App, user: UserId, id: SessionId) -> Result<(), Error> {
    if app.store().end_session(user, id, app.now()).await? {
        return Ok(());
    }
    Err(Error::NotFound)
}

/// Has the browser work in another organisation of the person's.
pub async fn switch(
    app: &App,
    caller: &Principal,
    organisation: OrganisationId,
) -> Result<Session, Error> {
    let Credential::Session(token_hash) = &caller.credential else {
        return Err(Error::Conflict(
            "Only a browser session remembers an organisation. Name it in the header Organisation."
                .into(),
        ));
    };
    let role = app.store().find_role(caller.user, organisation).await?;
    role.ok_or(Error::NotFound)?;
    app.store().switch_session(token_hash, organisation).await?;
    let sessions = list(app, caller).await?;
    let current = sessions.into_iter().find(|session| session.current);
    current.ok_or(Error::Unauthenticated)
}

/// An account as its owner sees it.
pub async fn find_account(app: &App, id: UserId) -> Result<User, Error> {
    let found = app.store().find_user(id).await?;
    view(app, found.ok_or(Error::Unauthenticated)?).await
}

/// The address of an account, once a letter has proved that it is its owner's; what an address may do hangs on it.
pub(crate) async fn proven_email(app: &App, id: UserId) -> Result<Option<String>, Error> {
    let account = find_account(app, id).await?;
    Ok(account.email_verified.then_some(account.email))
}

/// Changes an account, if it still is what the caller read.
pub async fn update_account(
    app: &App,
    id: UserId,
    condition: &IfMatch,
    request: &UpdateUser,
) -> Result<User, Error> {
    Error::unless_valid(request.validate())?;
    let seen = find_account(app, id).await?;
    condition.check(&seen)?;
    if let Some(name) = &request.name {
        let seen = condition.names_one().then_some(seen.name.as_str());
        app.store().rename_user(id, seen, name.trim()).await?;
    }
    find_account(app, id).await
}
