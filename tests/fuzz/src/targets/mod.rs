//! The targets by what they read.

mod audits;
mod bodies;
mod certificates;
mod client;
mod headers;
mod json;
mod judge;
mod models;
mod names;
mod pictures;
mod secrets;
mod storage;
mod weights;

use crate::Target;

pub(crate) fn all() -> Vec<Target> {
    [
        audits::TARGETS,
        bodies::TARGETS,
        certificates::TARGETS,
        client::TARGETS,
        headers::TARGETS,
        json::TARGETS,
        judge::TARGETS,
        models::TARGETS,
        names::TARGETS,
        pictures::TARGETS,
        secrets::TARGETS,
        storage::TARGETS,
        weights::TARGETS,
    ]
    .concat()
}
