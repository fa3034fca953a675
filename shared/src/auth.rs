//! Accounts, sessions, access tokens and second factors.

use serde::{Deserialize, Serialize};

use crate::{
    OrganisationId, SessionId, Timestamp, UserId, limits,
    organisation::check_name,
    problem::{FieldError, check},
};

/// Whether a text can be an e-mail address; only a letter to it tells whether it is one.
///
/// None that ends in `.invalid`: nobody has such a name (RFC 2606), and accounts of the server's own do.
pub fn is_plausible_email(text: &str) -> bool {
    let email = text.trim();
    let parts: Vec<&str> = email.split('@').collect();
    parts.len() == 2
        && !parts[0].is_empty()
        && parts[1].contains('.')
        && !parts[1].starts_with('.')
        && !parts[1].ends_with('.')
        && !parts[1].to_lowercase().ends_with(".invalid")
        && email.len() <= 254
        && !email.chars().any(|c| c.is_whitespace() || c.is_control())
}

fn check_email(errors: &mut Vec<FieldError>, email: &str) {
    let plausible = is_plausible_email(email);
    check(errors, plausible, "#/email", "invalid_email", || {
        "Give an e-mail address such as name@example.org.".into()
    });
}

fn check_password(errors: &mut Vec<FieldError>, pointer: &str, password: &str) {
    let length = password.chars().count();
    let range = limits::MIN_PASSWORD_CHARACTERS..=limits::MAX_PASSWORD_CHARACTERS;
    check(
        errors,
        range.contains(&length),
        pointer,
        "invalid_length",
        || format!("Use {} to {} characters.", range.start(), range.end()),
    );
}

/// Creates an account and signs it in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "email": "ada@example.org", "password": "correct horse battery", "name": "Ada" })))]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// E-mail address, the name of the account.
    #[cfg_attr(
        feature = "openapi",
        schema(pattern = "^[A-Za-z0-9_%+-]{1,60}@[a-z0-9-]{1,60}\\.[a-z]{2,20}$")
    )]
    pub email: String,
    /// At least ten characters.
    #[cfg_attr(feature = "openapi", schema(min_length = 10, max_length = 200))]
    pub password: String,
    /// How the person wants to be called.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 100, pattern = "\\S")
    )]
    pub name: String,
}

impl CreateUser {
    /// Every reason why this account cannot be created.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        check_email(&mut errors, &self.email);
        check_password(&mut errors, "#/password", &self.password);
        check_name(&mut errors, &self.name);
        errors
    }
}

/// Signs in with e-mail and password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "email": "ada@example.org", "password": "correct horse battery" })))]
#[serde(deny_unknown_fields)]
pub struct CreateSession {
    /// E-mail address of the account.
    pub email: String,
    /// Its password.
    pub password: String,
    /// Six digits of the authenticator app, or a recovery code; for accounts with a second factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// Signs a script in with e-mail and password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "email": "ada@example.org", "password": "correct horse battery" })))]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// E-mail address of the account.
    pub email: String,
    /// Its password.
    pub password: String,
    /// Six digits of the authenticator app, or a recovery code; for accounts with a second factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The organisation to work in; the person's own unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation_id: Option<OrganisationId>,
}

/// Shows a refresh token: to get the next pair of tokens, or to end it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "refresh_token": "pgr_the-last-one-that-was-given" })))]
#[serde(deny_unknown_fields)]
pub struct ShowRefreshToken {
    /// The last one that was given.
    pub refresh_token: String,
}

/// Servers before identity providers gave every account a password.
const fn usual() -> bool {
    true
}

/// An account as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, as the wire has it"
)]
pub struct User {
    /// Identifies the account.
    pub id: UserId,
    /// E-mail address.
    pub email: String,
    /// How the person wants to be called.
    pub name: String,
    /// Whether the address was confirmed by a letter.
    #[serde(default)]
    pub email_verified: bool,
    /// Whether signing in takes a code of an authenticator app.
    #[serde(default)]
    pub second_factor: bool,
    /// Whether it has a password; an account that an identity provider opened has none until a letter sets one.
    #[serde(default = "usual")]
    pub has_password: bool,
    /// Whether it may do what is for the server's administrators alone.
    #[serde(default)]
    pub administrator: bool,
    /// When the account was made.
    pub created_at: Timestamp,
}

/// Changes an account; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "name": "Ada" })))]
#[serde(deny_unknown_fields)]
pub struct UpdateUser {
    /// How the person wants to be called.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::patching::present"
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = String, required = false,
        min_length = 1, max_length = 100, pattern = "\\S"))]
    pub name: Option<String>,
}

impl UpdateUser {
    /// Every reason why this change is refused.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if let Some(name) = &self.name {
            check_name(&mut errors, name);
        }
        errors
    }
}

/// A browser that is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Session {
    /// Identifies the session.
    pub id: SessionId,
    /// Whether it is the one that asks.
    pub current: bool,
    /// The organisation that it works in.
    pub organisation_id: OrganisationId,
    /// What the browser called itself when it signed in.
    pub user_agent: String,
    /// Where it signed in from.
    pub address: String,
    /// When it signed in.
    pub created_at: Timestamp,
    /// When it was used last, to the minute.
    pub seen_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// Has the browser work in another organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "organisation_id": "org_0198c0de000070008000000000000001" })))]
#[serde(deny_unknown_fields)]
pub struct UpdateSession {
    /// The organisation to work in from now on.
    pub organisation_id: OrganisationId,
}

/// Changes the password; every other session and every refresh token ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "current_password": "correct horse battery", "new_password": "staple battery horse" })))]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The password until now.
    pub current_password: String,
    /// At least ten characters.
    #[cfg_attr(feature = "openapi", schema(min_length = 10, max_length = 200))]
    pub new_password: String,
}

impl ChangePassword {
    /// Every reason why this change is refused.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        check_password(&mut errors, "#/new_password", &self.new_password);
        errors
    }
}

/// Asks for a letter with a link to set a new password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "email": "ada@example.org" })))]
#[serde(deny_unknown_fields)]
pub struct CreatePasswordReset {
    /// Address of the account.
    pub email: String,
}

impl CreatePasswordReset {
    /// Why no letter can come; the server itself answers every address alike.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        check_email(&mut errors, &self.email);
        errors
    }
}

/// Sets a new password with the token of the letter; every session and refresh token ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "token": "the-text-after-token-in-the-link", "password": "staple battery horse" })))]
#[serde(deny_unknown_fields)]
pub struct ConfirmPasswordReset {
    /// The token of the link in the letter.
    pub token: String,
    /// At least ten characters.
    #[cfg_attr(feature = "openapi", schema(min_length = 10, max_length = 200))]
    pub password: String,
}

impl ConfirmPasswordReset {
    /// Every reason why this password is refused.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        check_password(&mut errors, "#/password", &self.password);
        errors
    }
}

/// Confirms an address with the token of the letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "token": "the-text-after-token-in-the-link" })))]
#[serde(deny_unknown_fields)]
pub struct ConfirmEmail {
    /// The token of the link in the letter.
    pub token: String,
}

/// Begins to set up an authenticator app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "password": "correct horse battery" })))]
#[serde(deny_unknown_fields)]
pub struct CreateTotp {
    /// The account's password.
    pub password: String,
}

/// What an authenticator app needs; shown this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TotpSetup {
    /// The secret in base32, to type.
    pub secret: String,
    /// The same as `otpauth://` address, for a QR code.
    pub uri: String,
}

/// Shows that the app is set up; from then on signing in takes a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "code": "123456" })))]
#[serde(deny_unknown_fields)]
pub struct ConfirmTotp {
    /// Six digits of the app.
    pub code: String,
}

/// Ends the second factor, or makes new recovery codes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "password": "correct horse battery", "code": "123456" })))]
#[serde(deny_unknown_fields)]
pub struct ProveIdentity {
    /// The account's password.
    pub password: String,
    /// Six digits of the app, or a recovery code.
    pub code: String,
}

/// Codes that stand in for a lost authenticator app, each once; shown this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecoveryCodes {
    /// The codes.
    pub codes: Vec<String>,
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
    /// Gets the next pair of tokens, once.
    pub refresh_token: String,
    /// Seconds until that one expires.
    pub refresh_expires_in_seconds: u64,
}

#[cfg(test)]
mod tests {
    use super::is_plausible_email;

    #[test]
    fn addresses_that_nobody_can_have_are_refused() {
        for good in [
            "ada@example.org",
            " Ada@Example.org ",
            "invalid@example.org",
            "a@invalid.example.org",
            "a@notinvalid.org",
        ] {
            assert!(is_plausible_email(good), "{good}");
        }
        for bad in [
            "",
            "ada",
            "a@b@example.org",
            "@example.org",
            "a@example",
            "a@.org",
            "a@example.",
            "a b@example.org",
            "demo@persguard.invalid",
            "Demo@PersGuard.INVALID ",
            "a@b.c.invalid",
        ] {
            assert!(!is_plausible_email(bad), "{bad}");
        }
    }
}
