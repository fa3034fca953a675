//! Programs that wait for this person's yes.

use shared::device::{DecideDevice, FindDevice, PendingDevice};

use super::{
    ApiError,
    http::{Method, send, tell},
};

/// Who waits behind a code.
pub(crate) async fn find_device(code: String) -> Result<PendingDevice, ApiError> {
    let body = FindDevice { user_code: code };
    send(
        Method::Post,
        "/v1/device-authorizations/lookup",
        Some(&body),
        None,
    )
    .await
}

/// Lets it in, or not.
pub(crate) async fn decide_device(body: &DecideDevice) -> Result<(), ApiError> {
    tell("/v1/device-authorizations/decision", body).await
}
