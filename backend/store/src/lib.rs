//! Rows and transactions: the only package that speaks to the database.
//!
//! Owns every query and the edges of every transaction. Refuses clocks (time is an argument), HTTP
//! and object storage. A finder takes the owner (an organisation, or the person
//! for what is theirs alone) unless its name says `any` or `public`; `None` means
//! "not there, or not yours".

mod api_keys;
mod approvals;
mod archives;
mod artifacts;
mod attribution;
mod audit;
mod authorizations;
mod base_models;
mod changes;
mod collector;
mod counts;
mod data_keys;
mod data_subjects;
mod database;
mod device_authorizations;
mod durability;
mod emails;
mod entity;
mod error;
mod expired;
mod galleries;
mod idempotency;
mod identities;
mod images;
mod invitations;
mod jobs;
mod locks;
mod model_imports;
mod nodes;
mod notices;
mod one_time_tokens;
mod organisations;
mod patches;
mod portable;
mod refresh_tokens;
mod second_factors;
mod sessions;
mod sets;
mod share_links;
mod sign_ins;
mod text;
mod training_nodes;
mod uploads;
mod usage;
mod users;
mod webhooks;
mod writer;

pub use api_keys::{ApiKeyChange, ApiKeyRecord, NewApiKey};
pub use approvals::{ApprovalRecord, NewApproval};
pub use artifacts::{ArtifactRecord, NewArtifact};
pub use attribution::{attributed, carried, identify};
pub use audit::{AuditRow, ChainCheck, ChainFault, chain_hash};
pub use authorizations::{Aim, WayKey, WayRecord};
pub use base_models::{BaseModelFile, BaseModelRecord, NewBaseModel};
pub use counts::JobCount;
pub use data_keys::DataKeyRecord;
pub use data_subjects::{Deleted, ExportRecord};
pub use database::{Store, new_uuid};
pub use device_authorizations::{Asked, DeviceRecord, NewDevice};
pub use emails::{EmailRecord, NewEmail};
pub use error::Error;
pub use galleries::{GalleryRecord, GallerySummaryRecord, NewGallery};
pub use idempotency::{Begun, StoredResponse};
pub use identities::{IdentityRecord, NewIdentity};
pub use images::{ImageLooks, ImageRecord, NewImage, StoredImage};
pub use invitations::{InvitationRecord, NewInvitation};
pub use jobs::{
    Claimant, ClaimedJob, FinishJob, Finished, Heartbeat, JobRecord, NewJob, ProbesOf, Renewal,
    ResumePoint,
};
pub use locks::{Held, Lock};
pub use model_imports::{ImportFileRecord, ModelImportRecord, NewImportFile, NewModelImport};
pub use nodes::{NodeKind, NodeRecord};
pub use notices::{NewNotice, NoticeRecord};
pub use one_time_tokens::Purpose;
pub use organisations::{MemberRecord, OrganisationRecord};
pub use patches::{NewPatch, PatchRecord};
pub use portable::Dumped;
pub use refresh_tokens::{Exchanged, Grant};
pub use second_factors::SecondFactorRecord;
pub use sessions::{NewSession, SessionRecord};
pub use sets::{SealSet, SetRecord};
pub use share_links::{NewShareLink, ShareLinkChange, ShareLinkRecord};
pub use training_nodes::{NewNode, NodeChange, TrainingNodeRecord};
pub use uploads::{NewFile, NewUpload, UploadRecord};
pub use usage::{Limits, Usage};
pub use users::{NewUser, UserRecord};
pub use webhooks::{
    Attempted, ClaimedDelivery, DeliveryRecord, NewWebhook, Verdict, WebhookChange, WebhookRecord,
};
