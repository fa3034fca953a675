//! Integration tests of the package: against `PyTorch` fixtures and through whole folders.

mod autoencoder;
mod gradients;
mod optimizer;
mod pipeline;
mod schedule;
mod support;
mod text;
mod tokenizer;
mod unet;
