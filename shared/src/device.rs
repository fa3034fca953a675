//! Signing a program in that has no browser (RFC 8628): it shows a code, and its person confirms that in a browser.
//!
//! Field names without units are the RFC's own.

use serde::{Deserialize, Serialize};

use crate::{
    Timestamp,
    organisation::check_name,
    problem::{FieldError, check},
};

/// The letters of a code that a person types: no vowels, so that they spell nothing, and nothing that looks alike.
pub const USER_CODE_LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Letters of a code.
pub const USER_CODE_LENGTH: usize = 8;

/// A typed code as it was given out, `BCDF-GHJK`; `None` if it can be none.
pub fn clean_user_code(text: &str) -> Option<String> {
    let letters: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '\u{2010}'..='\u{2015}'))
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let known = |byte: u8| USER_CODE_LETTERS.contains(&byte);
    let fits = letters.len() == USER_CODE_LENGTH && letters.bytes().all(known);
    fits.then(|| show_user_code(&letters))
}

/// Two groups are easier to read than one.
pub fn show_user_code(letters: &str) -> String {
    let (first, second) = letters
        .split_at_checked(USER_CODE_LENGTH / 2)
        .unwrap_or((letters, ""));
    format!("{first}-{second}")
}

/// Begins to sign a program in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "name": "persguard on ada-laptop" })))]
#[serde(deny_unknown_fields)]
pub struct CreateDeviceAuthorization {
    /// What the program calls itself; the person who confirms reads it.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 100, pattern = "\\S")
    )]
    pub name: String,
}

impl CreateDeviceAuthorization {
    /// Every reason why this is refused.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        check_name(&mut errors, &self.name);
        errors
    }
}

/// What a program shows to its person, and what it asks with meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "device_code": "pgd_the-code-that-was-given", "user_code": "BCDF-GHJK",
    "verification_uri": "https://guard.example.org/device",
    "verification_uri_complete": "https://guard.example.org/device#code=BCDF-GHJK",
    "expires_in": 900, "interval": 5 })))]
pub struct DeviceAuthorization {
    /// Goes into `POST /v1/tokens/device`; a secret of the program.
    pub device_code: String,
    /// What the person types, such as `BCDF-GHJK`.
    pub user_code: String,
    /// Where the person types it.
    pub verification_uri: String,
    /// The same page with the code filled in.
    pub verification_uri_complete: String,
    /// Seconds until both codes expire.
    pub expires_in: u64,
    /// Seconds to wait between two questions.
    pub interval: u64,
}

/// Asks whether the person has confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "device_code": "pgd_the-code-that-was-given" })))]
#[serde(deny_unknown_fields)]
pub struct CreateDeviceToken {
    /// The code that the program was given.
    pub device_code: String,
}

/// Looks at who waits behind a code, before anything is decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "user_code": "BCDF-GHJK" })))]
#[serde(deny_unknown_fields)]
pub struct FindDevice {
    /// The code as the person typed it; small letters, blanks and a missing hyphen are forgiven.
    #[cfg_attr(
        feature = "openapi",
        schema(pattern = "^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$")
    )]
    pub user_code: String,
}

/// A program that waits to be signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "name": "persguard on ada-laptop", "address": "198.51.100.7",
    "created_at": "2026-11-24T10:35:00Z", "expires_at": "2026-11-24T10:50:00Z" })))]
pub struct PendingDevice {
    /// What it calls itself; anybody can claim any name.
    pub name: String,
    /// Network address that it asked from.
    pub address: String,
    /// When it asked.
    pub created_at: Timestamp,
    /// When its code expires.
    pub expires_at: Timestamp,
}

/// Lets a program in, or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "user_code": "BCDF-GHJK", "approve": true })))]
#[serde(deny_unknown_fields)]
pub struct DecideDevice {
    /// The code as the person typed it; small letters, blanks and a missing hyphen are forgiven.
    #[cfg_attr(
        feature = "openapi",
        schema(pattern = "^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$")
    )]
    pub user_code: String,
    /// Whether the program may act for the person.
    pub approve: bool,
}

/// Every reason why a typed code is none.
pub fn check_user_code(text: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let valid = clean_user_code(text).is_some();
    check(&mut errors, valid, "#/user_code", "invalid_code", || {
        "The code has eight letters, such as BCDF-GHJK.".into()
    });
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_codes_are_read_generously_and_nothing_else_is() {
        for typed in ["BCDF-GHJK", "bcdfghjk", " bcdf ghjk ", "BCDF\u{2013}GHJK"] {
            assert_eq!(
                clean_user_code(typed).as_deref(),
                Some("BCDF-GHJK"),
                "{typed}"
            );
        }
        for wrong in [
            "",
            "BCDF-GHJ",
            "BCDF-GHJKL",
            "ABCD-EFGH",
            "BCDF-GHJ1",
            "ÄCDF-GHJK",
            "BCDF/GHJK",
        ] {
            assert_eq!(clean_user_code(wrong), None, "{wrong}");
            assert_eq!(check_user_code(wrong).len(), 1);
        }
    }
}
