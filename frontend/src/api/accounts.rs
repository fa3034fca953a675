//! What letters to an account lead to.

use serde_json::json;
use shared::{
    auth::{ConfirmEmail, ConfirmPasswordReset, CreatePasswordReset},
    organisation::{AcceptInvitation, Organisation},
};

use super::http::{Call, Method};

/// Sends the letter that confirms the address again.
pub(crate) fn send_verification() -> Call<()> {
    Call::unread(Method::Post, "/v1/email-verifications").json(&json!({}))
}

pub(crate) fn confirm_email(body: &ConfirmEmail) -> Call<()> {
    Call::unread(Method::Post, "/v1/email-verifications/confirm").json(body)
}

/// Sends a link to set a new password, if the address has an account.
pub(crate) fn create_password_reset(body: &CreatePasswordReset) -> Call<()> {
    Call::unread(Method::Post, "/v1/password-resets").json(body)
}

pub(crate) fn confirm_password_reset(body: &ConfirmPasswordReset) -> Call<()> {
    Call::unread(Method::Post, "/v1/password-resets/confirm").json(body)
}

pub(crate) fn accept_invitation(body: &AcceptInvitation) -> Call<Organisation> {
    Call::new(Method::Post, "/v1/invitations/accept").json(body)
}
