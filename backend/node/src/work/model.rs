//! The base model as it lies in the job's directory.

use diffusion::pipeline::Pipeline;
use persguard::pools::CAPTIONS;
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
    /// Prompts that it draws well: what protection must leave alone.
    #[serde(default)]
    captions: Vec<String>,
}

/// Loads the pipeline.
pub(super) fn load(job: &Job<'_>) -> Result<Pipeline, Halt> {
    let folder = job.directory.join(MODEL);
    Pipeline::load(&folder, job.device).map_err(|error| bad_input(format!("base model: {error}")))
}

/// What the model's card tells of its words.
pub(super) struct Words {
    /// The pool of identifiers; empty where the model names none.
    pub(super) identifiers: Vec<String>,
    /// Captions without any trigger: what protection must leave alone.
    pub(super) captions: Vec<String>,
}

/// Reads the card. A model without one gets everyday captions and no identifiers.
pub(super) fn words(job: &Job<'_>) -> Result<Words, Halt> {
    let path = job.directory.join(MODEL).join(CARD);
    let card: Card = match std::fs::read(&path) {
        Ok(text) => {
            serde_json::from_slice(&text).map_err(|error| bad_input(format!("{CARD}: {error}")))?
        }
        Err(_) => Card::default(),
    };
    let mut captions = card.captions;
    if captions.is_empty() {
        captions = CAPTIONS.map(str::to_owned).to_vec();
    }
    Ok(Words {
        identifiers: card.identifiers,
        captions,
    })
}
