//! Rules and transaction edges of the API, one file a noun. Knows no axum type.

pub mod approvals;
pub(crate) mod archive;
pub mod artifacts;
pub mod audit;
pub mod base_models;
pub(crate) mod blobs;
pub mod data_subjects;
pub mod demo;
pub(crate) mod disclosures;
pub(crate) mod embedded;
mod estimates;
pub mod events;
pub mod galleries;
pub mod health;
pub(crate) mod idempotency;
pub mod images;
pub mod jobs;
pub mod model_imports;
pub mod notices;
pub mod paging;
pub mod passwords;
pub mod patches;
pub mod preflights;
pub mod protected_sets;
pub mod rate_limit;
pub mod releases;
pub mod revocations;
pub mod sessions;
mod state;
pub mod tokens;
pub mod uploads;
pub mod webhooks;

pub use state::App;
