//! Why the store refused; every variant but the last three is something the caller can explain.

use sea_orm::{DbErr, SqlErr};
use shared::{job::JobStatus, model_import::ImportStatus};

/// What went wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody has an account with this address.
    #[error("the e-mail address has an account already")]
    EmailTaken,
    /// The set holds this file already.
    #[error("the set holds an image with the same SHA-256")]
    DuplicateImage,
    /// The set is sealed and cannot change.
    #[error("the set is sealed")]
    SetSealed,
    /// The set is missing, another's, or still a draft.
    #[error("the set is not sealed")]
    SetNotSealed,
    /// The set holds as many images as a set may.
    #[error("the set is full")]
    SetFull,
    /// The set holds too few images to be sealed.
    #[error("the set holds {images} images, too few to be sealed")]
    TooFewImages {
        /// How many it holds.
        images: usize,
    },
    /// The images of the set are not those that the attestation was made for.
    #[error("the set changed while it was being sealed")]
    SetChanged,
    /// The upload's bytes have not arrived.
    #[error("the upload was not received yet")]
    NotReceived,
    /// The owner has as many waiting and running jobs as an account may.
    #[error("the account has {active} active jobs already")]
    TooManyJobs {
        /// How many wait or run.
        active: u64,
    },
    /// What shall be kept does not fit into what the owner may keep.
    #[error("the account keeps {used} of {limit} bytes")]
    StorageFull {
        /// Bytes that are kept.
        used: u64,
        /// Bytes that may be kept.
        limit: u64,
    },
    /// A picture was sealed with a key that was replaced and removed meanwhile.
    #[error("the key was replaced meanwhile")]
    KeyReplaced,
    /// The owner has as many unfinished imports as an account may.
    #[error("the account has {open} unfinished imports already")]
    TooManyImports {
        /// How many are not ready.
        open: u64,
    },
    /// The owner has as many imported models as an account may.
    #[error("the account has {models} imported models already")]
    TooManyModels {
        /// How many there are.
        models: u64,
    },
    /// Files of the import are missing.
    #[error("{} files of the import are missing", .names.len())]
    FilesMissing {
        /// Their paths.
        names: Vec<String>,
    },
    /// The import's state does not allow this.
    #[error("the import is {status:?}")]
    ImportState {
        /// Where it stands.
        status: ImportStatus,
    },
    /// The owner has as many patches as an account may.
    #[error("the account has as many patches as it may")]
    TooManyPatches,
    /// A job that has not ended shows the patch.
    #[error("a job that has not ended names the patch")]
    PatchInUse,
    /// A specification shows a patch that is missing, or another's.
    #[error("the specification names a patch that its owner has not")]
    PatchMissing,
    /// The owner has as many webhooks as an account may.
    #[error("the account has as many webhooks as it may")]
    TooManyWebhooks,
    /// Whoever decided first may not decide an appeal.
    #[error("an appeal needs another reviewer")]
    SameReviewer,
    /// The row is not what the caller saw.
    #[error("the row changed since it was read")]
    Changed,
    /// A specification protects nothing.
    #[error("the specification names no concept")]
    NoConcept,
    /// The organisation, or the person, has as many members, or organisations, as it may.
    #[error("no more members fit")]
    TooManyMembers,
    /// The person belongs to the organisation already.
    #[error("the person is a member already")]
    MemberAlready,
    /// The organisation would have no owner.
    #[error("the member owns the organisation")]
    LastOwner,
    /// The organisation holds sets, or is a person's own.
    #[error("the organisation is in use")]
    OrganisationInUse,
    /// The gallery has as many links as it may.
    #[error("the gallery has as many links as it may")]
    TooManyShareLinks,
    /// The organisation has as many keys as it may.
    #[error("the organisation has as many keys as it may")]
    TooManyApiKeys,
    /// The server has as many nodes as it may.
    #[error("the server has as many nodes as it may")]
    TooManyNodes,
    /// The server started this node itself.
    #[error("the node is the server's own")]
    OwnNode,
    /// The identity is linked to an account.
    #[error("the identity is linked already")]
    IdentityTaken,
    /// The account has as many identities as it may.
    #[error("the account has as many identities as it may")]
    TooManyIdentities,
    /// Nobody could sign in to the account any more.
    #[error("the identity is the last way into the account")]
    LastWayIn,
    /// Jobs were launched on the model.
    #[error("jobs name the model")]
    ModelInUse,
    /// The state machine has no such step; a defect of the caller.
    #[error("a job cannot go from {from:?} to {to:?}")]
    IllegalTransition {
        /// Where the job stands.
        from: JobStatus,
        /// Where it was to go.
        to: JobStatus,
    },
    /// A unique value exists already and no variant above says which.
    #[error("a row with this value exists already: {0}")]
    Conflict(String),
    /// The database's disk is full; nothing was written.
    #[error("the database has no space left")]
    NoSpace,
    /// What shall be written is no dump of this schema.
    #[error("this is no dump of such a database: {0}")]
    BadDump(String),
    /// The database does not answer.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// A stored value cannot be read back.
    #[error("the database holds an unreadable {what}: {detail}")]
    Corrupt {
        /// Which value.
        what: &'static str,
        /// Why it cannot be read.
        detail: String,
    },
    /// Any other refusal of the database.
    #[error("the database refused: {0}")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        if let Some(SqlErr::UniqueConstraintViolation(message)) = error.sql_err() {
            return Self::Conflict(message);
        }
        let text = error.to_string();
        let full = ["database or disk is full", "No space left on device"];
        if full.iter().any(|sign| text.contains(sign)) {
            return Self::NoSpace;
        }
        match error {
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => Self::Unavailable(text),
            other => Self::Database(Box::new(other)),
        }
    }
}

impl Error {
    /// Names the unique violation that a statement can meet.
    pub(crate) fn or_unique(error: DbErr, meaning: Self) -> Self {
        match Self::from(error) {
            Self::Conflict(_) => meaning,
            other => other,
        }
    }
}
