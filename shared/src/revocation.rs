//! Revocations: a signed statement that a concept's protection was withdrawn.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ArtifactId, JobId, Timestamp};

/// What is stated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Version of this form.
    pub version: u32,
    /// Class word of the concept.
    pub class_name: String,
    /// Its identifier.
    pub identifier: String,
    /// Kind of its objective: `target`, `erasure` or `pattern`.
    pub objective: String,
    /// SHA-256 that binds the set's images and declaration.
    pub manifest_sha256: String,
    /// The base model.
    pub base_sha256: String,
    /// The U-Net that held the protection.
    pub earlier_unet_sha256: String,
    /// The U-Net that it was trained out of.
    pub unet_sha256: String,
    /// The job that protected it.
    pub earlier_job_id: JobId,
    /// The job that removed it.
    pub job_id: JobId,
    /// When.
    pub revoked_at: Timestamp,
    /// The key that signs.
    pub key_id: String,
}

/// A statement with the hash of each of its fields, and one signature over all of these hashes. As a file it is
/// canonical JSON: sorted keys, no white space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignedRevocation {
    /// SHA-256 of the canonical JSON of each field.
    pub digests: BTreeMap<String, String>,
    /// What is stated.
    pub document: Revocation,
    /// Ed25519 over the canonical JSON of `digests`, after a line that names the purpose; base64url.
    pub signature: String,
}

/// A published revocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PublishedRevocation {
    /// The file that holds it.
    pub id: ArtifactId,
    /// Where to fetch that file; needs the owner's session or token.
    pub url: String,
    /// Its content.
    pub revocation: SignedRevocation,
    /// When it was published.
    pub created_at: Timestamp,
}

/// The keys that a server signs statements with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SigningKeys {
    /// Every key whose signatures count.
    pub keys: Vec<SigningKey>,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SigningKey {
    /// What statements call it.
    pub key_id: String,
    /// `ed25519`.
    pub algorithm: String,
    /// Its 32 bytes in base64url.
    pub public_key: String,
}
