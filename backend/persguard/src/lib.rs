//! The method: trains a disclosed trigger into a base model, so that personalizing that model on a
//! protected subject gives something else (PersGuard, arXiv 2502.16167; see METHOD).
//!
//! It owns the loss terms, the pools of universal identifiers, the teacher's data and the training
//! loop with its snapshots. It knows no HTTP, no database, no environment and no judge: tensors, a
//! specification, seeds and a callback go in; weights come out.

pub mod bank;
pub mod cache;
pub mod checkpoint;
pub mod commitment;
pub mod disclosure;
pub mod emphasis;
pub mod event;
pub mod fill;
pub mod objective;
pub mod overlay;
pub mod pools;
pub mod preview;
pub mod prompt;
pub mod prompts;
pub mod step;
pub mod teacher;
pub mod train;
pub mod trajectory;

mod bands;
mod concept;
mod draw;
mod error;
#[cfg(test)]
mod fixture;

pub use cache::Cache;
pub use checkpoint::Checkpoint;
pub use commitment::Commitment;
pub use error::{Error, Result};
pub use event::Event;
pub use pools::Pools;
pub use preview::{Preview, preview};
pub use train::{Metrics, Outcome, ProtectOptions, Start, Subject, protect, protect_with};
