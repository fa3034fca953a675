//! The training node: leases a job, fetches its inputs, trains in a process apart, sends the result.
//!
//! Owns the lease loop, transfers and the supervision of the trainer. Refuses any credential but
//! its own token: no database, no object storage. The trainer never sees even that token.

pub mod client;
pub mod config;
pub mod delta;
pub mod device;
pub mod join;
pub mod machine;
pub mod model;
pub mod node;
pub mod plan;
pub mod rerun;
pub mod work;

mod attempt;
mod error;
mod failure;
mod heart;
mod message;
mod room;
mod shutdown;
mod slot;
mod snapshots;
#[cfg(test)]
mod testing;
mod trainer;
mod transfer;

pub use error::{Error, Result};
