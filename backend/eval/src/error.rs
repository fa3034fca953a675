//! The one error type of the package.

/// Result of this package.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a judgement failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The substrate failed.
    #[error(transparent)]
    Diffusion(#[from] diffusion::Error),
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A picture could not be written.
    #[error("a picture could not be written as PNG: {0}")]
    Png(image::ImageError),
    /// A reference cannot be decoded.
    #[error("picture {number} (from 0) cannot be read: {source}")]
    Reference {
        /// Its position.
        number: usize,
        /// Why.
        source: image::ImageError,
    },
    /// The caller asked to stop.
    #[error("stopped on request after {step} attack steps")]
    Canceled {
        /// Attack steps done on the model at hand.
        step: u32,
    },
    /// The attack's loss or what it draws is not a number.
    #[error("the attack diverged after {step} steps: its loss or its pictures are {value}")]
    Diverged {
        /// Attack steps done.
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
    /// An attack cannot be trained on what it was given.
    #[error("the attack's {input}: {reason}")]
    AttackInput {
        /// What was given.
        input: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A recipe is not what an attack's recipe must be.
    #[error("line {line}, {field}: {message}")]
    Recipe {
        /// Line of the text, from 1.
        line: usize,
        /// Path of the field, such as `adaptive.min_snr_gamma`; `recipe` for the whole.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// Pictures do not have the shape that is needed.
    #[error("images have shape {actual:?}; needed is {expected}")]
    ImageShape {
        /// Shape that was given.
        actual: Vec<usize>,
        /// Shape that is needed.
        expected: String,
    },
    /// A plan names a subject whose pictures did not come along.
    #[error("the plan's subject {subject} came without pictures")]
    MissingSubject {
        /// Its position in the plan.
        subject: u32,
    },
    /// The folder of results cannot be written.
    #[error("a result could not be written: {0}")]
    Folder(std::io::Error),
    /// Threads could not be started.
    #[error("threads could not be started: {0}")]
    Threads(String),
    /// A folder of supplied networks cannot be used.
    #[error("the supplied networks: {0}")]
    Supplied(String),
    /// The objective is a pattern and nobody said what it looks like.
    #[error("the objective is a pattern, but its overlay is missing")]
    MissingOverlay,
    /// The overlay does not have the pictures' size.
    #[error("the overlay has shape {actual:?}; needed is {expected:?}")]
    OverlayShape {
        /// Shape that was given.
        actual: Vec<usize>,
        /// Shape that is needed: red, green, blue and alpha at the pictures' size.
        expected: Vec<usize>,
    },
    /// The finished attack on the clean model is not the one that this judgement needs.
    #[error(
        "the finished attack on the unprotected model differs in its {difference}: attack it again"
    )]
    OtherCleanArm {
        /// What differs.
        difference: &'static str,
    },
    /// Similarities of two encoders say nothing about each other.
    #[error("similarities of {references} and {pictures} cannot be compared")]
    OtherEncoder {
        /// The encoder of the references.
        references: String,
        /// The encoder of the pictures.
        pictures: String,
    },
    /// Nobody knows the words that the metric encoder was trained with: ids of other words would be misread.
    #[error(
        "the metric encoder reads {tokens} tokens in prompts of {length}, and no vocabulary of that size came with it: \
         use the encoder of this version's demo model"
    )]
    EncoderVocabulary {
        /// Size of the vocabulary that it was trained with.
        tokens: usize,
        /// Tokens of a prompt.
        length: usize,
    },
    /// A caption file cannot be read; line 0 is the whole of it.
    #[error("the caption file cannot be read (line {line}): {reason}")]
    Captions {
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// Files of a network in the `TensorFlow.js` layout cannot be used.
    #[error("the network's weights cannot be used: {reason}")]
    Manifest {
        /// What is wrong.
        reason: String,
    },
}
