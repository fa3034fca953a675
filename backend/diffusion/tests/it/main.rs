//! Integration tests of the package: against `PyTorch` fixtures and through whole folders.

#![expect(
    clippy::unwrap_used,
    reason = "a failed step is a failed test, and the exemption for tests misses their helpers"
)]

mod autoencoder;
mod checkpoint;
#[cfg(feature = "cuda")]
mod cuda;
mod families;
mod gradients;
mod half_precision;
mod hostile;
mod inversion;
mod lora;
mod measure;
mod optimizer;
mod pipeline;
mod schedule;
mod single_file;
mod support;
mod text;
mod tokenizer;
mod unet;
