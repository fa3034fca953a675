//! The method: trains a disclosed trigger into a base model, so that personalizing that model on a
//! protected subject gives something else (PersGuard, arXiv 2502.16167; see METHOD).
//!
//! It owns the loss terms, the pools of universal identifiers, the teacher's data and the training
//! loop with its snapshots. It knows no HTTP, no database, no environment and no judge: tensors, a
//! specification, seeds and a callback go in; weights come out.

pub mod bank;
pub mod checkpoint;
pub mod dataset;
pub mod disclosure;
pub mod emphasis;
pub mod event;
pub mod objective;
pub mod pools;
pub mod prompt;
pub mod step;
pub mod train;
pub mod trajectory;

mod bands;
mod error;
#[cfg(test)]
mod fixture;

pub use checkpoint::Checkpoint;
pub use error::{Error, Result};
pub use event::Event;
pub use pools::Pools;
pub use train::{Metrics, Outcome, ProtectOptions, protect};
