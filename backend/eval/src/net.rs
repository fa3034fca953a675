//! Networks that see pictures, from weights that the user brings: CLIP, DINO, EfficientNet-Lite0 and faces.
//!
//! Owns their layers, their preprocessing and the loading from bytes. Refuses to fetch weights, to train, and to compare
//! what two encoders say: embeddings carry the name of theirs.

pub mod clip;
pub mod dino;
pub mod efficientnet;
pub mod embedding;
pub mod face;
pub mod preprocess;

mod layers;
mod read;
mod resize;
mod transformer;
mod window;

pub use self::{
    clip::Clip,
    dino::Dino,
    efficientnet::EfficientNet,
    embedding::{CaptionEncoder, DemoEncoder, Embeddings, ImageEncoder, image_similarity},
    face::FaceReader,
    preprocess::Preprocessor,
};
