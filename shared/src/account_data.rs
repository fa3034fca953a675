//! What an account may take along, and its end: an archive of everything, and a signed receipt of the deletion.

use serde::{Deserialize, Serialize};

use crate::{DeletionId, ExportId, Timestamp};

/// How an archive stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ExportStatus {
    /// It can be fetched.
    Ready,
    /// Its time is over.
    Expired,
}

/// An archive of everything of an account (GDPR, articles 15 and 20).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Export {
    /// Identifies the archive.
    pub id: ExportId,
    /// How it stands.
    pub status: ExportStatus,
    /// Where to fetch it as a tar archive.
    pub url: String,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Until when it can be fetched.
    pub expires_at: Timestamp,
}

/// Deletes an account for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateDeletion {
    /// The account's address, typed again.
    pub email: String,
    /// Its password.
    pub password: String,
    /// A code of the authenticator app, or a recovery code, where the account has a second factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// What was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DeletionRecord {
    /// Last hash of the account's audit log, which is deleted too: whoever exported it can show that it was whole.
    pub audit_head: String,
    /// When.
    pub deleted_at: Timestamp,
    /// Identifies the deletion.
    pub id: DeletionId,
    /// Pictures, patches, models and results that were removed from the store.
    pub objects: u64,
    /// SHA-256 over the sorted hashes of those objects, a line each.
    pub objects_sha256: String,
    /// What the server cannot undo.
    pub remains: String,
    /// Rows that were removed, by table.
    pub rows: std::collections::BTreeMap<String, u64>,
}

/// The record with the server's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DeletionReceipt {
    /// The key, as `GET /v1/signing-keys` names it.
    pub key_id: String,
    /// What is signed.
    pub record: DeletionRecord,
    /// Ed25519 over a line that names the purpose and the canonical JSON of `record`; base64url.
    pub signature: String,
}
