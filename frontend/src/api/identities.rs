//! Signing in by identity providers, and the identities of an account.

use shared::{
    IdentityId,
    auth::User,
    identity::{
        Authorization, CreateAuthorization, CreateIdentity, Identity, IdentityProvider,
        ShowSecondFactor,
    },
    page::Page,
};

use super::{
    ApiError, Endpoint,
    http::{Method, send, send_unit},
};

pub(crate) fn providers() -> Endpoint<Page<IdentityProvider>> {
    Endpoint::new("/v1/identity-providers".into())
}

pub(crate) fn identities() -> Endpoint<Page<Identity>> {
    Endpoint::new("/v1/me/identities".into())
}

/// Where to go to sign in.
pub(crate) async fn begin(
    slug: &str,
    body: &CreateAuthorization,
) -> Result<Authorization, ApiError> {
    let path = format!("/v1/identity-providers/{slug}/authorizations");
    send(Method::Post, &path, Some(body), None).await
}

/// Where to go to link an identity.
pub(crate) async fn begin_link(body: &CreateIdentity) -> Result<Authorization, ApiError> {
    send(Method::Post, "/v1/me/identities", Some(body), None).await
}

pub(crate) async fn unlink(id: IdentityId) -> Result<(), ApiError> {
    send_unit(Method::Delete, &format!("/v1/me/identities/{id}")).await
}

pub(crate) async fn show_second_factor(body: &ShowSecondFactor) -> Result<User, ApiError> {
    send(Method::Post, "/v1/sessions/second-factor", Some(body), None).await
}
