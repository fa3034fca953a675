//! Studies: the attack matrix on a protected model.

use shared::{
    JobId,
    page::Page,
    release::Release,
    study::{CreateStudy, Study, StudySummary},
};

use super::{
    ApiError, Endpoint,
    http::{Method, send},
};

pub(crate) fn study(id: JobId) -> Endpoint<Study> {
    Endpoint::new(format!("/v1/studies/{id}"))
}

/// Whether a protected model may leave, and why not.
pub(crate) fn release(id: JobId) -> Endpoint<Release> {
    Endpoint::new(format!("/v1/jobs/{id}/release"))
}

/// The newest studies, as many as one page holds.
pub(crate) fn studies() -> Endpoint<Page<StudySummary>> {
    Endpoint::new("/v1/studies?limit=100".into())
}

pub(crate) async fn create(body: &CreateStudy, key: &str) -> Result<Study, ApiError> {
    send(Method::Post, "/v1/studies", Some(body), Some(key)).await
}

pub(crate) async fn cancel(id: JobId) -> Result<Study, ApiError> {
    send::<(), _>(
        Method::Post,
        &format!("/v1/studies/{id}/cancel"),
        None,
        None,
    )
    .await
}
