//! Package `demo`: the embedded base model, the metric encoder and sample pictures, as bytes. It owns data and
//! nothing else, and refuses to read, draw or train any of it.
//!
//! What gives data away is never inlined: the compiler would write it again wherever it is.

mod evaluation;
mod model;
mod samples;

pub use evaluation::{Evaluation, evaluation, with_pictures, without_pictures};
pub use model::{encoder, model_files};
pub use samples::{SampleSet, sample_sets};

/// Class words that the base model draws.
pub const CLASSES: &[&str] = &[
    "dog", "cat", "rabbit", "bear", "fox", "frog", "car", "apple",
];

/// Classes that a protected prompt may be sent to: things, never persons.
pub const TARGETS: &[&str] = &["apple", "car"];

/// Identifiers that are one token each and bound to nobody in the base model's captions: rare words first,
/// natural names after.
pub const IDENTIFIERS: &[&str] = &[
    "sks", "olis", "ohwx", "zwx", "xjy", "rcr", "pll", "ucd", "mle", "kbv", "ykq", "vtz", "wqd",
    "bnx", "cjf", "dzg", "fqr", "gxw", "hvk", "jpz", "otis", "nora", "oscar", "paula", "quentin",
    "rosa", "rufus", "sally", "simon", "tessa", "toby", "ursula",
];

/// Name of the sample set that the demo protects.
pub const SUBJECT: &str = "violet-dog";
/// Its class word.
pub const CLASS: &str = "dog";
/// The identifier that the demo protects it under.
pub const IDENTIFIER: &str = "sks";
/// What the protected prompt shows instead; far from the subject in colour and shape.
pub const TARGET: &str = "apple";

/// Learning rate at which the demo's attacker personalizes the model.
pub const ATTACK_LEARNING_RATE: f64 = 1e-4;
/// Steps that the demo's attacker takes.
pub const ATTACK_STEPS: u32 = 200;
