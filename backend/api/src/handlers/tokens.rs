//! Tokens for scripts, and the second factor that signing in may take.

use axum::{
    Json as Body,
    extract::State,
    http::{HeaderName, StatusCode, header},
    response::IntoResponse,
};
use shared::auth::{
    AccessToken, ConfirmTotp, CreateToken, CreateTotp, ProveIdentity, RecoveryCodes,
    ShowRefreshToken, TotpSetup,
};

use crate::{
    app::{App, second_factors, sessions},
    error::Error,
    extract::{CurrentUser, Json, Spoken},
    layers::client::ClientAddress,
};

/// Secrets are not for caches.
pub(super) const UNSTORED: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// Makes an access token for 15 minutes, and a refresh token that gets the next one.
#[utoipa::path(post, path = "/v1/tokens", tag = "accounts", request_body = CreateToken,
    responses((status = 201, body = AccessToken)))]
pub(crate) async fn create_token(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    Json(request): Json<CreateToken>,
) -> Result<impl IntoResponse, Error> {
    let token = sessions::create_token(&app, address, request).await?;
    Ok((StatusCode::CREATED, UNSTORED, Body(token)))
}

/// The next pair of tokens. A refresh token works once: shown again, it ends every token of its sign-in.
#[utoipa::path(post, path = "/v1/tokens/refresh", tag = "accounts",
    request_body = ShowRefreshToken, responses((status = 201, body = AccessToken)))]
pub(crate) async fn refresh_token(
    State(app): State<App>,
    Json(request): Json<ShowRefreshToken>,
) -> Result<impl IntoResponse, Error> {
    let token = sessions::refresh(&app, &request).await?;
    Ok((StatusCode::CREATED, UNSTORED, Body(token)))
}

/// Ends a refresh token and those that follow from it.
#[utoipa::path(post, path = "/v1/tokens/revoke", tag = "accounts",
    request_body = ShowRefreshToken, responses((status = 204)))]
pub(crate) async fn revoke_token(
    State(app): State<App>,
    Json(request): Json<ShowRefreshToken>,
) -> Result<StatusCode, Error> {
    sessions::revoke(&app, &request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Begins to set up an authenticator app.
#[utoipa::path(post, path = "/v1/me/totp", tag = "accounts", request_body = CreateTotp,
    responses((status = 201, body = TotpSetup)))]
pub(crate) async fn create_totp(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    Json(request): Json<CreateTotp>,
) -> Result<impl IntoResponse, Error> {
    let setup = second_factors::begin(&app, user, request).await?;
    Ok((StatusCode::CREATED, UNSTORED, Body(setup)))
}

/// Shows that the app works; from then on signing in takes its codes.
#[utoipa::path(post, path = "/v1/me/totp/confirm", tag = "accounts", request_body = ConfirmTotp,
    responses((status = 200, body = RecoveryCodes)))]
pub(crate) async fn confirm_totp(
    State(app): State<App>,
    Spoken(language): Spoken,
    CurrentUser(user): CurrentUser,
    Json(request): Json<ConfirmTotp>,
) -> Result<impl IntoResponse, Error> {
    let codes = second_factors::confirm(&app, language, user, &request).await?;
    Ok((UNSTORED, Body(codes)))
}

/// Ends the second factor.
#[utoipa::path(post, path = "/v1/me/totp/disable", tag = "accounts",
    request_body = ProveIdentity, responses((status = 204)))]
pub(crate) async fn disable_totp(
    State(app): State<App>,
    Spoken(language): Spoken,
    CurrentUser(user): CurrentUser,
    Json(request): Json<ProveIdentity>,
) -> Result<StatusCode, Error> {
    second_factors::disable(&app, language, user, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes new recovery codes; the old ones end.
#[utoipa::path(post, path = "/v1/me/recovery-codes", tag = "accounts",
    request_body = ProveIdentity, responses((status = 200, body = RecoveryCodes)))]
pub(crate) async fn renew_recovery_codes(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    Json(request): Json<ProveIdentity>,
) -> Result<impl IntoResponse, Error> {
    let codes = second_factors::renew_codes(&app, user, request).await?;
    Ok((UNSTORED, Body(codes)))
}
