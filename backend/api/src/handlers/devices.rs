//! Signing programs in by a code that their person confirms (RFC 8628).

use axum::{Json as Body, extract::State, http::StatusCode, response::IntoResponse};
use shared::{
    auth::AccessToken,
    device::{
        CreateDeviceAuthorization, CreateDeviceToken, DecideDevice, DeviceAuthorization,
        FindDevice, PendingDevice,
    },
};

use super::tokens::UNSTORED;
use crate::{
    app::{App, devices, principal::Principal},
    error::Error,
    extract::Json,
    layers::client::ClientAddress,
};

/// Begins to sign a program in: it shows the user code, and asks with the device code meanwhile.
#[utoipa::path(post, path = "/v1/device-authorizations", tag = "accounts",
    request_body = CreateDeviceAuthorization, responses((status = 201, body = DeviceAuthorization)))]
pub(crate) async fn create_device(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    Json(request): Json<CreateDeviceAuthorization>,
) -> Result<impl IntoResponse, Error> {
    let device = devices::create(&app, address, request).await?;
    Ok((StatusCode::CREATED, UNSTORED, Body(device)))
}

/// The program that waits behind a code.
#[utoipa::path(post, path = "/v1/device-authorizations/lookup", tag = "accounts",
    request_body = FindDevice, responses((status = 200, body = PendingDevice)))]
pub(crate) async fn find_device(
    State(app): State<App>,
    Json(request): Json<FindDevice>,
) -> Result<impl IntoResponse, Error> {
    let device = devices::find(&app, &request).await?;
    Ok((UNSTORED, Body(device)))
}

/// Lets the program behind a code act for the person in the organisation that they work in, or not. Takes a browser
/// session; a code is decided once.
#[utoipa::path(post, path = "/v1/device-authorizations/decision", tag = "accounts",
    request_body = DecideDevice, responses((status = 204)))]
pub(crate) async fn decide_device(
    State(app): State<App>,
    caller: Principal,
    Json(request): Json<DecideDevice>,
) -> Result<StatusCode, Error> {
    devices::decide(&app, &caller, &request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tokens, once the person confirmed. Until then 400 with the code `authorization_pending`; `slow_down` adds five seconds
/// to the interval, `access_denied` and `expired_token` are final.
#[utoipa::path(post, path = "/v1/tokens/device", tag = "accounts",
    request_body = CreateDeviceToken, responses((status = 201, body = AccessToken)))]
pub(crate) async fn create_device_token(
    State(app): State<App>,
    Json(request): Json<CreateDeviceToken>,
) -> Result<impl IntoResponse, Error> {
    let token = devices::collect(&app, &request).await?;
    Ok((StatusCode::CREATED, UNSTORED, Body(token)))
}
