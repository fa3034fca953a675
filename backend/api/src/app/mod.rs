//! Rules and transaction edges of the API, one file a noun. Knows no axum type.

pub mod api_keys;
pub mod artifacts;
pub mod base_models;
pub(crate) mod blobs;
pub mod demo;
pub(crate) mod embedded;
mod estimates;
pub mod events;
pub mod galleries;
pub mod health;
pub mod images;
pub mod jobs;
pub mod letters;
mod lockout;
pub mod mail;
pub mod model_imports;
pub mod organisations;
pub mod paging;
pub mod passwords;
pub mod patches;
pub mod preflights;
pub mod principal;
pub mod protected_sets;
pub mod rate_limit;
pub mod revocations;
pub mod second_factors;
pub mod sessions;
mod state;
pub mod studies;
pub mod tokens;
pub mod uploads;

pub use state::App;
