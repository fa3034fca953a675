//! Signing a program in that has no browser (RFC 8628): two codes, a person's yes, and tokens once.

use std::net::IpAddr;

use shared::{
    Timestamp,
    auth::AccessToken,
    device::{
        CreateDeviceAuthorization, CreateDeviceToken, DecideDevice, DeviceAuthorization,
        FindDevice, PendingDevice, USER_CODE_LENGTH, USER_CODE_LETTERS, check_user_code,
        clean_user_code, show_user_code,
    },
    problem::ErrorCode,
};
use store::{Asked, Grant, NewDevice};

use super::{
    App,
    principal::{Credential, Principal},
    sessions,
};
use crate::{error::Error, secret};

const LIFETIME_SECONDS: i64 = 15 * 60;
const INTERVAL_SECONDS: i64 = 5;

/// 20^8 is above 2^34: the limit on guesses and a quarter of an hour do the rest.
fn new_user_code() -> String {
    let count = u8::try_from(USER_CODE_LETTERS.len()).unwrap_or(u8::MAX);
    let mut code = String::with_capacity(USER_CODE_LENGTH);
    while code.len() < USER_CODE_LENGTH {
        for byte in secret::random_bytes::<16>() {
            // What is above the largest multiple would favour some letters.
            if byte < u8::MAX / count * count && code.len() < USER_CODE_LENGTH {
                code.push(char::from(USER_CODE_LETTERS[usize::from(byte % count)]));
            }
        }
    }
    show_user_code(&code)
}

/// Lets a program wait for its person.
pub async fn create(
    app: &App,
    address: IpAddr,
    request: CreateDeviceAuthorization,
) -> Result<DeviceAuthorization, Error> {
    Error::unless_valid(request.validate())?;
    let device_code = format!("pgd_{}", secret::random_text());
    let user_code = new_user_code();
    let mut name = request.name;
    name.retain(|c| !c.is_control());
    let now = app.now();
    let new = NewDevice {
        device_hash: secret::digest(&device_code),
        user_hash: secret::digest(&user_code),
        name: name.trim().to_owned(),
        address: address.to_string(),
        expires_at: Timestamp::from_milliseconds(now.milliseconds() + LIFETIME_SECONDS * 1000),
        interval_milliseconds: INTERVAL_SECONDS * 1000,
    };
    app.store().create_device(new, now).await?;
    let page = format!("{}/device", app.public_url().trim_end_matches('/'));
    Ok(DeviceAuthorization {
        // What follows the sign stays in the browser: no server's log has the code.
        verification_uri_complete: format!("{page}#code={user_code}"),
        verification_uri: page,
        device_code,
        user_code,
        expires_in: LIFETIME_SECONDS.unsigned_abs(),
        interval: INTERVAL_SECONDS.unsigned_abs(),
    })
}

fn nobody_waits() -> Error {
    Error::Gone(
        "No program waits behind this code: it was used, or it has expired. Begin again there."
            .into(),
    )
}

fn hash_of_typed(code: &str) -> Result<String, Error> {
    Error::unless_valid(check_user_code(code))?;
    let code = clean_user_code(code).ok_or_else(nobody_waits)?;
    Ok(secret::digest(&code))
}

/// Who waits behind a code.
pub async fn find(app: &App, request: &FindDevice) -> Result<PendingDevice, Error> {
    let hash = hash_of_typed(&request.user_code)?;
    let found = app.store().find_device_any(&hash, app.now()).await?;
    let device = found.ok_or_else(nobody_waits)?;
    Ok(PendingDevice {
        name: device.name,
        address: device.address,
        created_at: device.created_at,
        expires_at: device.expires_at,
    })
}

/// Lets the program behind a code in, or not.
pub async fn decide(app: &App, caller: &Principal, request: &DecideDevice) -> Result<(), Error> {
    // A token that somebody found lasts minutes: it shall not make itself one that lasts a month.
    if !matches!(caller.credential, Credential::Session(_)) {
        return Err(Error::Forbidden(
            "Confirm this in a browser in which you are signed in.".into(),
        ));
    }
    let hash = hash_of_typed(&request.user_code)?;
    let by = Grant {
        user: caller.user,
        organisation: caller.organisation,
    };
    let store = app.store();
    let decided = store
        .decide_device(&hash, by, request.approve, app.now())
        .await?;
    if decided { Ok(()) } else { Err(nobody_waits()) }
}

/// Tokens, once the person said yes.
pub async fn collect(app: &App, request: &CreateDeviceToken) -> Result<AccessToken, Error> {
    let refresh = sessions::new_refresh_token();
    let next = secret::digest(&refresh);
    let kept = (next.as_str(), sessions::refresh_end(app));
    let device = secret::digest(&request.device_code);
    let asked = app.store().ask_device(&device, kept, app.now()).await?;
    let (code, detail) = match asked {
        Asked::Granted(grant) => return sessions::pair(app, grant, refresh),
        Asked::Pending => (
            ErrorCode::AuthorizationPending,
            "Nobody has confirmed yet. Ask again after the interval.",
        ),
        Asked::TooSoon => (
            ErrorCode::SlowDown,
            "You ask too often. Wait five seconds longer from now on.",
        ),
        Asked::Denied => (ErrorCode::AccessDenied, "The person said no."),
        Asked::Unknown => (
            ErrorCode::ExpiredToken,
            "This code was used, or it has expired. Begin again.",
        ),
    };
    Err(Error::NotGranted {
        code,
        detail: detail.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_can_be_typed_and_use_every_letter() {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let code = new_user_code();
            assert_eq!(clean_user_code(&code).as_deref(), Some(code.as_str()));
            seen.extend(code.bytes());
        }
        assert_eq!(seen.len(), USER_CODE_LETTERS.len() + 1);
    }
}
