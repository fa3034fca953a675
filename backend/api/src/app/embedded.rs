//! The embedded base model and encoder, as package `demo` carries them.

pub(crate) use demo::{encoder, model_files};

/// Side of the embedded model's images in pixels.
pub(crate) const RESOLUTION: u32 = 32;
