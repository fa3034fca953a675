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
    Endpoint,
    http::{Call, Method},
};

pub(crate) fn providers() -> Endpoint<Page<IdentityProvider>> {
    Endpoint::new("/v1/identity-providers".into())
}

pub(crate) fn identities() -> Endpoint<Page<Identity>> {
    Endpoint::new("/v1/me/identities".into())
}

/// Where to go to sign in.
pub(crate) fn begin(slug: &str, body: &CreateAuthorization) -> Call<Authorization> {
    let path = format!("/v1/identity-providers/{slug}/authorizations");
    Call::new(Method::Post, path).json(body)
}

/// Where to go to link an identity.
pub(crate) fn begin_link(body: &CreateIdentity) -> Call<Authorization> {
    Call::new(Method::Post, "/v1/me/identities").json(body)
}

pub(crate) fn unlink(id: IdentityId) -> Call<()> {
    Call::unread(Method::Delete, format!("/v1/me/identities/{id}"))
}

pub(crate) fn show_second_factor(body: &ShowSecondFactor) -> Call<User> {
    Call::new(Method::Post, "/v1/sessions/second-factor").json(body)
}
