//! What an organisation may use, and what it uses.

use serde::{Deserialize, Serialize};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum QuotaName {
    /// Jobs that wait or run.
    ActiveJobs,
    /// Bytes of pictures, patches, imported models and results.
    StorageBytes,
    /// Pictures that patterns show.
    Patches,
    /// API keys that were not revoked.
    ApiKeys,
    /// Members, invited ones not counted.
    Members,
    /// Base models that were imported.
    ImportedModels,
    /// Imports that are not ready.
    OpenImports,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Quota {
    /// What is counted.
    pub name: QuotaName,
    /// How much there is now.
    pub used: u64,
    /// How much there may be; absent: as much as the server holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// All of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Quotas {
    /// In the order of their names' list.
    pub data: Vec<Quota>,
}
