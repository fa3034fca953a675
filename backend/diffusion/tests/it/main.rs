//! Integration tests of the package: against `PyTorch` fixtures and through whole folders.

mod gradients;
mod support;
mod unet;
