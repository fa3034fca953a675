//! The base model and the protected U-Net as they lie in the job's directory.

use std::path::Path;

use candle_core::{DType, Device};
use diffusion::{
    pipeline::Pipeline,
    weights::{Weights, WeightsFile},
};
use persguard::{disclosure::METHOD_VERSION, pools::CAPTIONS};
use serde::Deserialize;

use super::{Halt, Job, bad_input};
use crate::message::{MODEL, PROTECTED_UNET};

/// What a base model says of itself to PersGuard, beside the diffusers files.
const CARD: &str = "persguard.json";
/// Which version of the method trained a protected file, in its metadata.
pub(super) const METHOD: &str = "persguard.method";

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

/// The U-Net that is judged.
pub(super) fn protected(job: &Job<'_>) -> Result<Weights, Halt> {
    judged(&job.directory.join(PROTECTED_UNET), job.device)
}

/// Refuses weights that say that another version of the method trained them: it held out other words, and the attack
/// would be told held out with one that was trained.
fn judged(path: &Path, device: &Device) -> Result<Weights, Halt> {
    let unreadable = |error: diffusion::Error| bad_input(format!("protected U-Net: {error}"));
    let file = WeightsFile::open(path).map_err(unreadable)?;
    let method = file.metadata().get(METHOD);
    if let Some(method) = method.filter(|method| *method != METHOD_VERSION) {
        return Err(bad_input(format!(
            "the protected U-Net was trained by {method}, which held out other words than {METHOD_VERSION}: protect its \
             sets anew, then judge the new model"
        )));
    }
    file.load(DType::F32, device).map_err(unreadable)
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

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use candle_core::Tensor;

    use super::*;

    /// Judges a file that names this method, or none.
    fn judge(method: Option<&str>) -> Result<Weights, Halt> {
        let directory = tempfile::tempdir().expect("a folder");
        let path = directory.path().join(PROTECTED_UNET);
        let mut weights = Weights::new();
        let tensor = Tensor::new(&[1_f32, 2.0], &Device::Cpu).expect("two values");
        weights.insert("conv_in.bias", tensor);
        let metadata = method.map(|method| (METHOD.to_owned(), method.to_owned()));
        let metadata: BTreeMap<String, String> = metadata.into_iter().collect();
        let file = weights.to_bytes(DType::F32, &metadata).expect("a file");
        fs::write(&path, file).expect("it is written");
        judged(&path, &Device::Cpu)
    }

    #[test]
    fn weights_of_another_version_of_the_method_are_not_judged() {
        for method in [Some(METHOD_VERSION), None] {
            assert!(judge(method).is_ok_and(|weights| weights.len() == 1));
        }
        let Err(Halt::Failed(failure)) = judge(Some("persguard-1")) else {
            panic!("it is refused");
        };
        assert_eq!(failure.code, "bad_input");
        let evidence = failure.evidence;
        assert!(
            evidence.contains("persguard-1") && evidence.contains("protect its sets anew"),
            "{evidence}"
        );
    }
}
