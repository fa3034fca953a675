//! The one error type of the package: what was refused, and the values that prove it.

use std::{io, path::PathBuf};

/// Result of this package.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation of this package failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed (shapes, dtypes, or a device without an implementation).
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is another one than was recorded.
    #[error("the {what} has the SHA-256 {found}; expected {expected}")]
    OtherFile {
        /// Which file.
        what: &'static str,
        /// As recorded.
        expected: String,
        /// As found.
        found: String,
    },
    /// A weights file is not safetensors, or lies about its own contents.
    #[error("not a usable safetensors file: {reason}")]
    MalformedWeights {
        /// What is wrong with it.
        reason: String,
    },
    /// One tensor of a weights file cannot be used.
    #[error("tensor {name}: {reason}")]
    MalformedTensor {
        /// Name of the tensor in the file.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The model needs a tensor that the weights lack.
    #[error("the weights lack the tensor {name}, expected with shape {expected:?}")]
    MissingTensor {
        /// Name that was looked up.
        name: String,
        /// Shape that the configuration implies.
        expected: Vec<usize>,
    },
    /// A tensor has another shape than the configuration implies.
    #[error("tensor {name} has shape {actual:?}, the configuration implies {expected:?}")]
    ShapeMismatch {
        /// Name of the tensor.
        name: String,
        /// Shape that the configuration implies.
        expected: Vec<usize>,
        /// Shape that was found.
        actual: Vec<usize>,
    },
    /// A configuration asks for something that this implementation does not have.
    #[error("unsupported {what}: {value}")]
    Unsupported {
        /// Field or feature.
        what: &'static str,
        /// The value that was given.
        value: String,
    },
    /// A configuration contradicts itself.
    #[error("invalid configuration: {0}")]
    InvalidConfig(String),
    /// A file of a model folder is absent.
    #[error("the model lacks the file {0}")]
    MissingFile(String),
    /// A JSON file does not parse as what it should be.
    #[error("{file}: {source}")]
    Json {
        /// Path relative to the model folder.
        file: String,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// An argument cannot be used.
    #[error("invalid argument: {0}")]
    InvalidArgument(String),
    /// The caller stopped the sampling between two steps.
    #[error("sampling was cancelled after {completed} of {total} steps")]
    Cancelled {
        /// Steps that had been completed.
        completed: usize,
        /// Steps that were planned.
        total: usize,
    },
}
