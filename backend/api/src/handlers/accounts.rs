//! Accounts, browser sessions and access tokens.

use std::net::SocketAddr;

use axum::{
    Json as Body,
    extract::{ConnectInfo, State},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::IntoResponse,
};
use shared::auth::{AccessToken, CreateSession, CreateUser, User};

use super::location;
use crate::{
    app::{App, sessions},
    error::Error,
    extract::{CurrentUser, Json, identity},
};

fn cookie(app: &App, token: &str, seconds: i64) -> [(HeaderName, String); 1] {
    let secure = if app.public_url().starts_with("https://") {
        "; Secure"
    } else {
        ""
    };
    let name = identity::SESSION_COOKIE;
    let value =
        format!("{name}={token}; HttpOnly; SameSite=Lax; Path=/; Max-Age={seconds}{secure}");
    [(header::SET_COOKIE, value)]
}

/// Creates an account and signs it in.
#[utoipa::path(post, path = "/v1/users", tag = "accounts", request_body = CreateUser,
    responses((status = 201, body = User)))]
pub(crate) async fn create_user(
    State(app): State<App>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    Json(request): Json<CreateUser>,
) -> Result<impl IntoResponse, Error> {
    let (user, token) = sessions::create_user(&app, address.ip(), request).await?;
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
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    Json(request): Json<CreateSession>,
) -> Result<impl IntoResponse, Error> {
    let (user, token) = sessions::create_session(&app, address.ip(), request).await?;
    Ok((
        StatusCode::CREATED,
        cookie(&app, &token, sessions::SESSION_SECONDS),
        Body(user),
    ))
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

/// Makes a bearer token for scripts; it lasts 15 minutes.
#[utoipa::path(post, path = "/v1/tokens", tag = "accounts", request_body = CreateSession,
    responses((status = 201, body = AccessToken)))]
pub(crate) async fn create_token(
    State(app): State<App>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    Json(request): Json<CreateSession>,
) -> Result<impl IntoResponse, Error> {
    let token = sessions::create_token(&app, address.ip(), request).await?;
    Ok((
        StatusCode::CREATED,
        [(header::CACHE_CONTROL, "no-store")],
        Body(token),
    ))
}

/// The account that is asking.
#[utoipa::path(get, path = "/v1/me", tag = "accounts", responses((status = 200, body = User)))]
pub(crate) async fn find_me(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
) -> Result<Body<User>, Error> {
    sessions::find_account(&app, user).await.map(Body)
}
