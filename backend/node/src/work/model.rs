//! The base model as it lies in the job's directory.

use candle_core::Device;
use diffusion::pipeline::Pipeline;
use serde::Deserialize;

use super::{Halt, Job, bad_input};
use crate::message::MODEL;

/// What a base model says of itself to PersGuard, beside the diffusers files.
const CARD: &str = "persguard.json";

#[derive(Default, Deserialize)]
struct Card {
    /// Words that are one token each and bound to nobody in the model's training.
    #[serde(default)]
    identifiers: Vec<String>,
}

/// Loads the pipeline.
pub(super) fn load(job: &Job<'_>) -> Result<Pipeline, Halt> {
    let folder = job.directory.join(MODEL);
    Pipeline::load(&folder, &Device::Cpu).map_err(|error| bad_input(format!("base model: {error}")))
}

/// The pool of identifiers; empty where the model names none.
pub(super) fn identifiers(job: &Job<'_>) -> Result<Vec<String>, Halt> {
    let path = job.directory.join(MODEL).join(CARD);
    let Ok(text) = std::fs::read(&path) else {
        return Ok(Vec::new());
    };
    let card: Card =
        serde_json::from_slice(&text).map_err(|error| bad_input(format!("{CARD}: {error}")))?;
    Ok(card.identifiers)
}
