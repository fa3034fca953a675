//! The one error type of the package.

/// Result of this package.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why protection failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The substrate failed.
    #[error(transparent)]
    Diffusion(#[from] diffusion::Error),
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// The caller asked to stop.
    #[error("stopped on request after {step} injection steps")]
    Canceled {
        /// Injection steps done.
        step: u32,
    },
    /// A loss is not a number or far from where it can come back.
    #[error("training diverged: {loss} is {value} at step {step}")]
    Diverged {
        /// Which loss: `L_BB`, `L_PP` or `L_BR`; or the weights themselves, after the last step.
        loss: &'static str,
        /// Injection step, from 1.
        step: u32,
        /// Its value.
        value: f32,
    },
    /// The specification has fields that cannot run.
    #[error("{pointer}: {message}")]
    InvalidSpec {
        /// JSON pointer of the first bad field.
        pointer: String,
        /// What is wrong with it.
        message: String,
    },
    /// The images do not fit the base model.
    #[error("images have shape {actual:?}; the base model needs {expected}")]
    ImageShape {
        /// Shape that was given.
        actual: Vec<usize>,
        /// Shape that is needed.
        expected: String,
    },
    /// A checkpoint cannot be used.
    #[error("checkpoint refused: {0}")]
    BadCheckpoint(String),
}
