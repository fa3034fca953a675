//! Programs that wait for this person's yes.

use shared::device::{DecideDevice, FindDevice, PendingDevice};

use super::http::{Call, Method};

/// Who waits behind a code.
pub(crate) fn find_device(code: String) -> Call<PendingDevice> {
    let body = FindDevice { user_code: code };
    Call::new(Method::Post, "/v1/device-authorizations/lookup").json(&body)
}

/// Lets it in, or not.
pub(crate) fn decide_device(body: &DecideDevice) -> Call<()> {
    Call::unread(Method::Post, "/v1/device-authorizations/decision").json(body)
}
