//! Signed revocations, and the keys that they are signed with.

use axum::{Json as Body, extract::State};
use shared::{
    page::Page,
    revocation::{PublishedRevocation, SigningKeys},
};

use crate::{
    app::{App, paging::Paging, revocations},
    error::Error,
    extract::{Listing, Tenant},
};

/// The caller's revocations, newest first.
#[utoipa::path(get, path = "/v1/revocations", tag = "results", params(Paging),
    responses((status = 200, body = Page<PublishedRevocation>)))]
pub(crate) async fn list_revocations(
    State(app): State<App>,
    Tenant(owner): Tenant,
    paging: Paging,
) -> Result<Listing<PublishedRevocation>, Error> {
    revocations::list(&app, owner, &paging).await.map(Listing)
}

/// The keys that this server signs revocations with; public.
#[utoipa::path(get, path = "/v1/signing-keys", tag = "server",
    responses((status = 200, body = SigningKeys)))]
pub(crate) async fn find_signing_keys(State(app): State<App>) -> Body<SigningKeys> {
    Body(app.revocation_signer().keys())
}
