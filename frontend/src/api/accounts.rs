//! What letters to an account lead to.

use serde_json::json;
use shared::{
    auth::{ConfirmEmail, ConfirmPasswordReset, CreatePasswordReset},
    organisation::{AcceptInvitation, Organisation},
};

use super::{
    ApiError,
    http::{Method, send, tell},
};

/// Sends the letter that confirms the address again.
pub(crate) async fn send_verification() -> Result<(), ApiError> {
    tell("/v1/email-verifications", &json!({})).await
}

pub(crate) async fn confirm_email(body: &ConfirmEmail) -> Result<(), ApiError> {
    tell("/v1/email-verifications/confirm", body).await
}

/// Sends a link to set a new password, if the address has an account.
pub(crate) async fn create_password_reset(body: &CreatePasswordReset) -> Result<(), ApiError> {
    tell("/v1/password-resets", body).await
}

pub(crate) async fn confirm_password_reset(body: &ConfirmPasswordReset) -> Result<(), ApiError> {
    tell("/v1/password-resets/confirm", body).await
}

pub(crate) async fn accept_invitation(body: &AcceptInvitation) -> Result<Organisation, ApiError> {
    send(Method::Post, "/v1/invitations/accept", Some(body), None).await
}
