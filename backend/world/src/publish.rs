//! What base training leaves in package `demo`: model files, the metric encoder and sample pictures. Refuses to
//! publish a model that it cannot load again.

pub mod samples;

use std::fs;
use std::path::Path;

use candle_core::{DType, Device};
use diffusion::pipeline::Pipeline;
use eval::encoder::Encoder;

use crate::{caption, names};

/// Where the model came from and under which terms, beside its weights.
const NOTICE: &str = include_str!("publish/NOTICE");

/// Why publishing failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A picture could not be encoded.
    #[error(transparent)]
    Image(#[from] image::ImageError),
    /// The model does not survive a round trip.
    #[error(transparent)]
    Diffusion(#[from] diffusion::Error),
}

/// The model's card: captions that protection leaves alone, and identifiers that jobs may draw from.
pub fn card() -> String {
    let card = serde_json::json!({ "captions": caption::everyday(), "identifiers": names::open() });
    format!("{card}\n")
}

/// Writes everything into the directory of package `demo`.
pub fn write(demo: &Path, pipeline: &Pipeline, encoder: &[u8]) -> Result<(), Error> {
    let files = pipeline.to_files(DType::F16)?;
    Pipeline::from_files(&files, &Device::Cpu)?;
    Encoder::load(encoder)?;
    pipeline.save(demo.join("model"), DType::F16)?;
    fs::write(demo.join("model/NOTICE"), NOTICE)?;
    fs::write(demo.join("model/persguard.json"), card())?;
    fs::write(demo.join("encoder.safetensors"), encoder)?;
    samples::write(&demo.join("samples"))
}
