//! The judge: attacks a clean and a protected model alike and says what came of it.
//!
//! It owns attacks, metrics, networks that see pictures, statistics and the report. It sees weights and nothing else of the
//! defence, never depends on package `persguard`, and refuses to grade where the attack itself
//! failed. No HTTP, no database, no environment.

pub mod attack;
pub mod draw;
pub mod encoder;
pub mod evaluation;
pub mod gallery;
pub mod matrix;
pub mod metric;
pub mod net;
pub mod page;
pub mod prompt;
pub mod quality;
pub mod report;
pub mod statistics;

mod error;
#[cfg(test)]
mod fixture;

pub use encoder::Encoder;
pub use error::{Error, Result};
pub use evaluation::{
    Bystanders, Case, CleanArm, EvaluateOptions, Evaluation, Metrics, attack_clean, collateral,
    evaluate, evaluate_beside,
};
