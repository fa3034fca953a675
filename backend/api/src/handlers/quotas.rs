//! Quotas of the organisation that a request works in.

use axum::{Json as Body, extract::State};
use shared::quota::Quotas;

use crate::{
    app::{App, quotas},
    error::Error,
    extract::Tenant,
};

/// What the organisation uses, and what it may use.
#[utoipa::path(get, path = "/v1/quotas", tag = "organisations", responses((status = 200, body = Quotas)))]
pub(crate) async fn read_quotas(
    State(app): State<App>,
    Tenant(owner): Tenant,
) -> Result<Body<Quotas>, Error> {
    quotas::read(&app, owner).await.map(Body)
}
