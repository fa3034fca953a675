//! A typed client of the REST API, for every program that is not the dashboard.
//!
//! Owns retries, idempotency keys, paging, uploads that resume, and event streams that reconnect; requests and answers
//! are the types of `shared`. Refuses the environment, the terminal and files of credentials: its user brings those.

mod calls;
mod credential;
mod download;
mod error;
mod events;
mod page;
mod retry;
mod sse;
mod transport;
#[doc(hidden)]
pub mod untrusted;
mod upload;

pub use self::{
    credential::{Credential, MemoryTokens, Secret, TokenPair, TokenStore},
    error::Error,
    retry::Retry,
    transport::{Client, Settings, fresh_key, server_address},
    upload::{UploadFile, Uploaded},
};

/// What every call gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;
