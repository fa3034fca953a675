//! One file a noun. A handler extracts, authorises, makes one call and serialises.

pub(crate) mod accounts;
pub(crate) mod api_keys;
pub(crate) mod artifacts;
pub(crate) mod audit;
pub(crate) mod base_models;
pub(crate) mod blobs;
pub(crate) mod book;
mod content;
pub(crate) mod data_subjects;
pub(crate) mod demo;
pub(crate) mod devices;
pub(crate) mod events;
pub(crate) mod frontend;
pub(crate) mod galleries;
pub(crate) mod identities;
pub(crate) mod images;
pub(crate) mod jobs;
pub(crate) mod model_imports;
pub(crate) mod nodes;
pub(crate) mod notices;
pub(crate) mod organisations;
pub(crate) mod patches;
pub(crate) mod protected_sets;
pub(crate) mod quotas;
pub(crate) mod range;
pub(crate) mod releases;
pub(crate) mod revocations;
pub(crate) mod server;
pub(crate) mod share_links;
pub(crate) mod shares;
pub(crate) mod storage_checks;
pub(crate) mod studies;
pub(crate) mod tokens;
pub(crate) mod training_nodes;
pub(crate) mod uploads;
pub(crate) mod webhooks;

use axum::http::{HeaderName, header};

/// The header `Location`, pointing at a new object.
pub(crate) fn location(path: String) -> [(HeaderName, String); 1] {
    [(header::LOCATION, path)]
}
