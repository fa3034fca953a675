//! The audit log: who did what to which object, from where and when, each entry bound to the one before.
//!
//! Fields stand in alphabetical order, so that writing a value gives its canonical JSON: sorted keys, no white space.

use serde::{Deserialize, Serialize};

use crate::{AuditEventId, OrganisationId, Timestamp, UserId};

/// What the first entry of a log names as the hash before it.
pub const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Who acted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum AuditActor {
    /// A training node.
    Node,
    /// The server by itself, such as its sweeper.
    #[default]
    Server,
    /// A person who signed in.
    User {
        /// The account.
        user_id: UserId,
    },
    /// Somebody who has not signed in.
    Visitor,
}

/// What was acted on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AuditObject {
    /// Its id, such as `set_…`.
    pub id: String,
    /// Its noun, such as `protected_set`.
    pub kind: String,
}

/// What an entry says; its canonical JSON is what is hashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AuditEntry {
    /// What was done, such as `protected_set.sealed`.
    pub action: String,
    /// Who did it.
    pub actor: AuditActor,
    /// Network address of the request, if there was one.
    pub address: Option<String>,
    /// When.
    pub at: Timestamp,
    /// What else matters, in a few words.
    pub detail: Option<String>,
    /// Identifies the entry.
    pub id: AuditEventId,
    /// Whose log it is: the owner of the object.
    pub log: OrganisationId,
    /// What it was done to.
    pub object: Option<AuditObject>,
    /// Number in this log, from 1, without gaps.
    pub sequence: u64,
}

/// One entry and its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AuditEvent {
    /// What happened.
    pub entry: AuditEntry,
    /// SHA-256 over `previous_hash`, a line feed and the canonical JSON of `entry`.
    pub hash: String,
    /// The hash of the entry before; 64 zeros for the first.
    pub previous_hash: String,
}

/// Where a log ends: the last line of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AuditHead {
    /// When this was stated.
    pub at: Timestamp,
    /// Hash of the last entry; 64 zeros if there is none.
    pub hash: String,
    /// Whose log it is.
    pub log: OrganisationId,
    /// Number of entries.
    pub sequence: u64,
}

/// The end of a log with the server's signature, so that nobody can cut entries off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignedAuditHead {
    /// What is signed.
    pub head: AuditHead,
    /// The key, as `GET /v1/signing-keys` names it.
    pub key_id: String,
    /// Ed25519 over a line that names the purpose and the canonical JSON of `head`; base64url.
    pub signature: String,
}

/// The first entry that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditFault {
    /// Where the entry should stand.
    pub sequence: u64,
    /// What is wrong with it.
    pub detail: String,
}

/// What a check of the whole log found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditVerification {
    /// Whether every entry fits and none is missing.
    pub intact: bool,
    /// Entries that fit, from the first on.
    pub verified: u64,
    /// The first fault, if there is one.
    pub fault: Option<AuditFault>,
    /// Where the log ends, signed.
    pub head: SignedAuditHead,
}
