//! Accounts and browser sessions.

use axum::{
    Json as Body,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::IntoResponse,
};
use shared::{
    SessionId,
    auth::{
        ChangePassword, ConfirmEmail, ConfirmPasswordReset, CreatePasswordReset, CreateSession,
        CreateUser, Session, UpdateSession, UpdateUser, User,
    },
    page::Page,
};

use super::location;
use crate::{
    app::{
        App, letters,
        principal::Principal,
        sessions::{self, Browser},
    },
    error::Error,
    etag::IfMatch,
    extract::{CurrentUser, Id, Json, MergePatch, Spoken, VersionHeader, identity, language},
    layers::client::ClientAddress,
};

pub(super) fn cookie(app: &App, token: &str, seconds: i64) -> [(HeaderName, String); 1] {
    let value = identity::set_cookie(app, (identity::SESSION_COOKIE, "/"), token, seconds);
    [(header::SET_COOKIE, value)]
}

pub(super) fn browser(ClientAddress(address): ClientAddress, headers: &HeaderMap) -> Browser {
    let user_agent = headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok());
    Browser {
        address,
        user_agent: user_agent.unwrap_or_default().to_owned(),
        language: language::of(headers),
    }
}

/// Creates an account and signs it in; a letter asks to confirm the address.
#[utoipa::path(post, path = "/v1/users", tag = "accounts", request_body = CreateUser,
    responses((status = 201, body = User)))]
pub(crate) async fn create_user(
    State(app): State<App>,
    address: ClientAddress,
    headers: HeaderMap,
    Json(request): Json<CreateUser>,
) -> Result<impl IntoResponse, Error> {
    let (user, token) = sessions::create_user(&app, browser(address, &headers), request).await?;
    let cookie = cookie(&app, &token, sessions::SESSION_SECONDS);
    Ok((
        StatusCode::CREATED,
        cookie,
        location("/v1/me".into()),
        Body(user),
    ))
}

/// Signs in.
#[utoipa::path(post, path = "/v1/sessions", tag = "accounts", request_body = CreateSession,
    responses((status = 201, body = User)))]
pub(crate) async fn create_session(
    State(app): State<App>,
    address: ClientAddress,
    headers: HeaderMap,
    Json(request): Json<CreateSession>,
) -> Result<impl IntoResponse, Error> {
    let (user, token) = sessions::create_session(&app, browser(address, &headers), request).await?;
    Ok((
        StatusCode::CREATED,
        cookie(&app, &token, sessions::SESSION_SECONDS),
        location("/v1/me".into()),
        Body(user),
    ))
}

/// The browsers that are signed in to the caller's account, newest first.
#[utoipa::path(get, path = "/v1/sessions", tag = "accounts",
    responses((status = 200, body = Page<Session>)))]
pub(crate) async fn list_sessions(
    State(app): State<App>,
    caller: Principal,
) -> Result<Body<Page<Session>>, Error> {
    let data = sessions::list(&app, &caller).await?;
    Ok(Body(Page {
        data,
        has_more: false,
        next_cursor: None,
    }))
}

/// Signs out.
#[utoipa::path(delete, path = "/v1/sessions/current", tag = "accounts",
    responses((status = 204)))]
pub(crate) async fn delete_session(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Error> {
    if let Some(token) = identity::session_cookie(&headers) {
        sessions::end_session(&app, token).await?;
    }
    Ok((StatusCode::NO_CONTENT, cookie(&app, "", 0)))
}

/// Has the browser work in another organisation.
#[utoipa::path(patch, path = "/v1/sessions/current", tag = "accounts",
    request_body(content = UpdateSession, content_type = "application/merge-patch+json"),
    responses((status = 200, body = Session)))]
pub(crate) async fn update_session(
    State(app): State<App>,
    caller: Principal,
    MergePatch(request): MergePatch<UpdateSession>,
) -> Result<Body<Session>, Error> {
    sessions::switch(&app, &caller, request.organisation_id)
        .await
        .map(Body)
}

/// Signs another browser out.
#[utoipa::path(delete, path = "/v1/sessions/{id}", tag = "accounts",
    params(("id" = SessionId, Path)), responses((status = 204)))]
pub(crate) async fn end_session(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    Id(id): Id<SessionId>,
) -> Result<StatusCode, Error> {
    sessions::end(&app, user, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The account that is asking.
#[utoipa::path(get, path = "/v1/me", tag = "accounts", responses((status = 200, body = User)))]
pub(crate) async fn find_me(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
) -> Result<Body<User>, Error> {
    sessions::find_account(&app, user).await.map(Body)
}

/// Changes the account that is asking.
#[utoipa::path(patch, path = "/v1/me", tag = "accounts",
    params(VersionHeader),
    request_body(content = UpdateUser, content_type = "application/merge-patch+json"),
    responses((status = 200, body = User)))]
pub(crate) async fn update_me(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    condition: IfMatch,
    MergePatch(request): MergePatch<UpdateUser>,
) -> Result<Body<User>, Error> {
    sessions::update_account(&app, user, &condition, &request)
        .await
        .map(Body)
}

/// Changes the password; every other session and every refresh token ends.
#[utoipa::path(post, path = "/v1/me/password", tag = "accounts", request_body = ChangePassword,
    responses((status = 204)))]
pub(crate) async fn change_password(
    State(app): State<App>,
    Spoken(language): Spoken,
    caller: Principal,
    Json(request): Json<ChangePassword>,
) -> Result<StatusCode, Error> {
    letters::change(&app, language, &caller, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends the letter that confirms the address again.
#[utoipa::path(post, path = "/v1/email-verifications", tag = "accounts", responses((status = 202)))]
pub(crate) async fn create_verification(
    State(app): State<App>,
    Spoken(language): Spoken,
    CurrentUser(user): CurrentUser,
) -> Result<impl IntoResponse, Error> {
    letters::verify_again(&app, language, user).await?;
    Ok((StatusCode::ACCEPTED, location("/v1/me".into())))
}

/// Confirms the caller's address with the token of its letter.
#[utoipa::path(post, path = "/v1/email-verifications/confirm", tag = "accounts",
    request_body = ConfirmEmail, responses((status = 204)))]
pub(crate) async fn confirm_email(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    Json(request): Json<ConfirmEmail>,
) -> Result<StatusCode, Error> {
    letters::verify(&app, user, &request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a link to set a new password; the answer is the same where the address has no account.
#[utoipa::path(post, path = "/v1/password-resets", tag = "accounts",
    request_body = CreatePasswordReset, responses((status = 202)))]
pub(crate) async fn create_password_reset(
    State(app): State<App>,
    Spoken(language): Spoken,
    Json(request): Json<CreatePasswordReset>,
) -> Result<StatusCode, Error> {
    letters::ask_to_reset(&app, language, &request).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Sets a new password with the token of the letter; every session and refresh token ends.
#[utoipa::path(post, path = "/v1/password-resets/confirm", tag = "accounts",
    request_body = ConfirmPasswordReset, responses((status = 204)))]
pub(crate) async fn confirm_password_reset(
    State(app): State<App>,
    Spoken(language): Spoken,
    Json(request): Json<ConfirmPasswordReset>,
) -> Result<StatusCode, Error> {
    letters::reset(&app, language, request).await?;
    Ok(StatusCode::NO_CONTENT)
}
