//! What base training leaves in package `demo`: model files and sample pictures. Refuses to publish half a model.

pub mod samples;

/// Why publishing failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A picture could not be encoded.
    #[error(transparent)]
    Image(#[from] image::ImageError),
}
