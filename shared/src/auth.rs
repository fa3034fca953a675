//! Accounts, sessions and access tokens.

use serde::{Deserialize, Serialize};

use crate::{
    Timestamp, UserId, limits,
    problem::{FieldError, check},
};

/// Creates an account and signs it in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// E-mail address, the name of the account.
    pub email: String,
    /// At least ten characters.
    pub password: String,
    /// How the person wants to be called.
    pub name: String,
}

impl CreateUser {
    /// Every reason why this account cannot be created.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let email = self.email.trim();
        let parts: Vec<&str> = email.split('@').collect();
        let plausible = parts.len() == 2
            && !parts[0].is_empty()
            && parts[1].contains('.')
            && !parts[1].starts_with('.')
            && !parts[1].ends_with('.')
            && email.len() <= 254
            && !email.chars().any(|c| c.is_whitespace() || c.is_control());
        check(&mut errors, plausible, "#/email", "invalid_email", || {
            "Give an e-mail address such as name@example.org.".into()
        });
        let length = self.password.chars().count();
        let range = limits::MIN_PASSWORD_CHARACTERS..=limits::MAX_PASSWORD_CHARACTERS;
        check(
            &mut errors,
            range.contains(&length),
            "#/password",
            "invalid_length",
            || format!("Use {} to {} characters.", range.start(), range.end()),
        );
        let name = self.name.trim().chars().count();
        let range = 1..=limits::MAX_NAME_CHARACTERS;
        check(
            &mut errors,
            range.contains(&name),
            "#/name",
            "invalid_length",
            || format!("Use 1 to {} characters.", range.end()),
        );
        errors
    }
}

/// Signs in with e-mail and password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateSession {
    /// E-mail address of the account.
    pub email: String,
    /// Its password.
    pub password: String,
}

/// An account as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    /// Identifies the account.
    pub id: UserId,
    /// E-mail address.
    pub email: String,
    /// How the person wants to be called.
    pub name: String,
    /// When the account was made.
    pub created_at: Timestamp,
}

/// A short-lived bearer token for scripts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccessToken {
    /// Goes into the header `Authorization: Bearer …`.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds until it expires.
    pub expires_in_seconds: u64,
}
