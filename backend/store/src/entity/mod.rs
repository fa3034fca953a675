//! Rows as the tables hold them; they never leave this package.

#![expect(
    unreachable_pub,
    clippy::struct_field_names,
    reason = "the entity derive wants public items, and fields are named as columns are"
)]

pub(crate) mod api_key;
pub(crate) mod approval;
pub(crate) mod artifact;
pub(crate) mod audit_chain;
pub(crate) mod audit_event;
pub(crate) mod authorization;
pub(crate) mod base_model;
pub(crate) mod base_model_file;
pub(crate) mod data_key;
pub(crate) mod deletion;
pub(crate) mod device_authorization;
pub(crate) mod email;
pub(crate) mod export;
pub(crate) mod gallery;
pub(crate) mod idempotency_key;
pub(crate) mod identity;
pub(crate) mod image;
pub(crate) mod invitation;
pub(crate) mod job;
pub(crate) mod job_attempt;
pub(crate) mod job_event;
pub(crate) mod membership;
pub(crate) mod model_import;
pub(crate) mod model_import_file;
pub(crate) mod node;
pub(crate) mod notice;
pub(crate) mod one_time_token;
pub(crate) mod organisation;
pub(crate) mod patch;
pub(crate) mod protected_set;
pub(crate) mod recovery_code;
pub(crate) mod refresh_token;
pub(crate) mod second_factor;
pub(crate) mod session;
pub(crate) mod share_link;
pub(crate) mod share_view;
pub(crate) mod sign_in_failure;
pub(crate) mod upload;
pub(crate) mod user;
pub(crate) mod webhook;
pub(crate) mod webhook_attempt;
pub(crate) mod webhook_delivery;
pub(crate) mod webhook_event;
