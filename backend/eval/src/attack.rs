//! Attacks: what somebody does who personalizes a model.
//!
//! One file per family. Refuses to know whether the weights that it starts from are protected.

pub mod dreambooth;

pub use dreambooth::{Attack, Recipe};
