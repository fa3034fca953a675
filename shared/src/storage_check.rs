//! A look at the artifact store, from the server and from the browser of whoever runs it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Where artifacts lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum StoragePlace {
    /// In the server's data directory.
    Directory,
    /// In a bucket.
    Bucket,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StorageFinding {
    /// What was tried.
    pub name: String,
    /// Whether it works.
    pub works: bool,
    /// What was seen, or what to do.
    pub detail: String,
}

/// What a browser is asked to try, because no server can: its own way to the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BrowserProbe {
    /// Send `text` here with PUT.
    pub put_url: String,
    /// Headers that were signed with it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub put_headers: BTreeMap<String, String>,
    /// Fetch this: it answers `text`.
    pub get_url: String,
    /// A text that means nothing.
    pub text: String,
    /// When both addresses end.
    pub expires_at: Timestamp,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StorageCheck {
    /// Where artifacts lie.
    pub place: StoragePlace,
    /// What the server tried, in order.
    pub findings: Vec<StorageFinding>,
    /// What is left to the browser.
    pub browser: BrowserProbe,
    /// SHA-256 of the probe: `DELETE /v1/admin/storage-probes/{sha256}` removes what is left of it.
    pub probe_sha256: String,
    /// Objects in the store.
    pub objects: u64,
    /// Bytes of them.
    pub bytes: u64,
}
