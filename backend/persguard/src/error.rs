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
    #[error("training diverged: {loss} is {value} at step {step}; {}", last_good(*.snapshot))]
    Diverged {
        /// Which loss: `L_BB`, `L_PP` or `L_BR`; or the weights themselves, after the last step.
        loss: &'static str,
        /// Injection step, from 1.
        step: u32,
        /// Its value.
        value: f32,
        /// Step of the last snapshot whose losses and weights were sound.
        snapshot: Option<u32>,
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
    /// A job names other concepts than the caller brought pictures for.
    #[error("the job protects {concepts} concepts; pictures came for {subjects}")]
    SubjectCount {
        /// Concepts of the job.
        concepts: usize,
        /// Subjects that were given.
        subjects: usize,
    },
    /// A pattern needs its patch.
    #[error("concept {concept} shows a pattern; its patch is missing")]
    PatchMissing {
        /// Position of the concept.
        concept: usize,
    },
    /// A patch has no pixels.
    #[error("a patch of {width} x {height} pixels cannot be shown")]
    PatchShape {
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
    /// A checkpoint cannot be used.
    #[error("checkpoint refused: {0}")]
    BadCheckpoint(String),
}

/// What is left of a run that diverged.
fn last_good(snapshot: Option<u32>) -> String {
    match snapshot {
        Some(step) => format!("the last good snapshot is that of step {step}"),
        None => "no snapshot was taken before".to_owned(),
    }
}
