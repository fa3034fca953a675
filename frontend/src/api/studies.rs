//! Studies: the attack matrix on a protected model.

use shared::{
    JobId,
    page::Page,
    release::Release,
    study::{CreateStudy, Study, StudySummary},
};

use super::{
    Endpoint,
    http::{Call, Method},
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

pub(crate) fn create(body: &CreateStudy, key: &str) -> Call<Study> {
    Call::new(Method::Post, "/v1/studies").json(body).once(key)
}

pub(crate) fn cancel(id: JobId) -> Call<Study> {
    Call::new(Method::Post, format!("/v1/studies/{id}/cancel"))
}
