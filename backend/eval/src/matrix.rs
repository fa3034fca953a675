//! The attack matrix at work: cells of a [`shared::matrix::Plan`] are run, graded and put together.
//!
//! Owns three steps that know nothing of one another: [`run_cell`] (one cell, alone), [`run`] (many, in threads, from a
//! folder that keeps what is done) and [`merge`] (all results to one report). Refuses to choose cells: the plan does.

mod arm;
mod audit;
mod cell;
mod folder;
mod grade;
mod merge;
mod pace;
mod record;
mod run;
mod sets;
mod summary;
mod supplied;

#[cfg(test)]
pub(crate) mod tests;

pub use arm::settings;
pub use audit::{AttentionPicture, AuditPrompts, Audited, Features, audit};
pub use cell::{Nets, Outcome, Person, Stage, Tick, run_cell};
pub use folder::Folder;
pub use grade::{Baseline, COMPETENT_HIT_RATE, TEXT_TOLERANCE, grade};
pub use merge::merge;
pub use pace::measure_pace;
pub use record::{ArmRecord, CheckpointScores, SAVED};
pub use run::{Finished, Settings, Told, run};
pub use sets::Sets;
pub use supplied::Supplied;
