//! What crosses the wire: requests, responses, the job specification and the node protocol.
//!
//! Owns names, shapes and validation, each written once for the browser, the API and the node.
//! Refuses I/O, clocks and randomness: every value here is data.

pub mod account_data;
pub mod address;
pub mod api_key;
pub mod artifact;
pub mod attack;
pub mod audit;
pub mod auth;
pub mod base_model;
pub mod canonical;
pub mod certificate;
pub mod collateral;
pub mod demo;
pub mod device;
pub mod evaluation;
pub mod gallery;
pub mod id;
pub mod identity;
pub mod image;
pub mod job;
pub mod language;
pub mod limits;
pub mod matrix;
pub mod merkle;
pub mod model_file;
pub mod model_import;
pub mod node;
pub mod notice;
pub mod objective;
pub mod organisation;
pub mod page;
pub mod patch;
mod patching;
pub mod preflight;
pub mod probe;
pub mod problem;
pub mod progress;
pub mod protected_set;
pub mod quota;
pub mod release;
pub mod revocation;
pub mod role;
pub mod share_link;
#[cfg(feature = "signing")]
pub mod signed;
pub mod storage_check;
pub mod study;
pub mod timestamp;
pub mod training_node;
pub mod upload;
pub mod webhook;
pub mod words;

pub use id::{
    ApiKeyId, ApprovalId, ArtifactId, AttemptId, AuditEventId, DeletionId, DeliveryId, EventId,
    ExportId, GalleryId, IdentityId, ImageId, ImportId, InvitationId, JobId, ModelId, NodeId,
    NoticeId, OrganisationId, PatchId, SessionId, SetId, ShareLinkId, ShareViewId, UploadId,
    UserId, WebhookId,
};
pub use timestamp::Timestamp;
