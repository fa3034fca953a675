//! The attack matrix as data: what is going to be run, what a cell found, and what all cells say together
//! (EVALUATION, attack matrix).
//!
//! Owns the cells, their keys, their order and their cost. Refuses to run anything, and to forget a cell that a budget
//! cut: it stays in the plan as not tested.

mod audit;
mod cell;
mod cost;
mod difference;
mod plan;
mod report;
mod request;
mod tier;

#[cfg(test)]
pub(crate) mod tests;

pub use audit::{
    Audit, Detection, FaceMetrics, FaceRates, FeatureDistances, RemovalBill, RemovalMethod,
    RemovalPoint, TriggerAttention, TriggerSearch,
};
pub use cell::{Cell, MatrixInputs, MatrixSettings, MatrixSubject, Role, Texts};
pub use cost::{Cost, Pace};
pub use difference::Difference;
pub use plan::{Headline, Plan};
pub use report::{
    AtlasCell, BreakingPointResult, Cause, CellResult, Counts, FamilyResult, Gate, GateStatus,
    HeadlineResult, Innocent, MatrixReport, Point,
};
pub use request::{Available, PlanRequest, Words};
pub use tier::Tier;

#[cfg(all(test, feature = "signing"))]
pub(crate) use tests::request;
