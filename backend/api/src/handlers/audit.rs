//! The caller's audit log: a list, an export, a check.

use axum::{
    Json as Body,
    body::Body as Stream,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use shared::{
    audit::{AuditEvent, AuditVerification},
    page::Page,
};

use crate::{
    app::{App, audit, paging::Paging},
    error::Error,
    extract::{Listing, Tenant},
};

/// What was done in the caller's name and to the caller's objects, newest first.
#[utoipa::path(get, path = "/v1/audit-events", tag = "audit", params(Paging),
    responses((status = 200, body = Page<AuditEvent>)))]
pub(crate) async fn list_audit_events(
    State(app): State<App>,
    Tenant(owner): Tenant,
    paging: Paging,
) -> Result<Listing<AuditEvent>, Error> {
    audit::list(&app, owner, &paging).await.map(Listing)
}

/// Walks the whole log and says whether every entry fits the one before.
#[utoipa::path(get, path = "/v1/audit-events/verification", tag = "audit",
    responses((status = 200, body = AuditVerification)))]
pub(crate) async fn verify_audit_log(
    State(app): State<App>,
    Tenant(owner): Tenant,
) -> Result<Body<AuditVerification>, Error> {
    audit::verify(&app, owner).await.map(Body)
}

/// The whole log as NDJSON, oldest first; the last line is its end, signed. `persguard audit verify` checks it.
#[utoipa::path(get, path = "/v1/audit-events/export", tag = "audit",
    responses((status = 200, content_type = "application/x-ndjson", body = String)))]
pub(crate) async fn export_audit_log(
    State(app): State<App>,
    Tenant(owner): Tenant,
) -> Result<Response, Error> {
    let lines = audit::export(app, owner).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"audit.ndjson\"",
        ),
    ];
    Ok((headers, Stream::from_stream(lines)).into_response())
}
