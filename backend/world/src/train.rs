//! Training of the embedded models: the metric encoder, then the denoiser. Refuses to publish what it trained.

pub mod base_loss;
pub mod base_stage;
pub mod batch;
pub mod encoder_loss;
pub mod encoder_stage;
pub mod gate;
pub mod layout;
pub mod sampling;
pub mod state;
pub mod text;
