//! The REST API of PersGuard: HTTP in front, rules behind, the job state machine between.
//!
//! `handlers` speak HTTP and nothing else; `app` holds the rules and knows no axum; `dispatch` is the
//! only writer of job states. Refuses SQL (the store's) and tensors (the node's).

pub mod app;
pub mod backup;
mod book;
pub mod certificate;
pub mod clock;
pub mod config;
mod connections;
#[cfg(test)]
mod damage;
pub mod demonstration;
mod disk;
pub mod dispatch;
pub mod doctor;
pub mod error;
pub mod etag;
mod extract;
mod handlers;
pub mod images;
mod layers;
mod openapi;
pub mod policy;
pub mod program;
pub mod router;
mod secret;
pub mod server;
mod share;
pub mod sibling;
pub mod signing;
pub mod storage_check;
mod style;
#[doc(hidden)]
pub mod untrusted;
