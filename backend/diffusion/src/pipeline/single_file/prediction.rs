//! What a checkpoint predicts: no shape tells, so the file's metadata or the caller must.

use super::Family;
use crate::{Error, Result, schedule::PredictionType, weights::WeightsFile};

/// What a model predicts, and whether its last timestep is pure noise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prediction {
    pub(super) kind: PredictionType,
    pub(super) zero_snr: bool,
}

/// The prediction: the caller's word, else that of the file, else that of the family.
pub(super) fn of(
    file: &WeightsFile<'_>,
    family: Family,
    asked: Option<PredictionType>,
) -> Result<Prediction> {
    let marked = file.get("v_pred").map(|_| PredictionType::VPrediction);
    let known = asked.or(marked).or_else(|| from_metadata(file));
    let kind = match (known, family) {
        (Some(kind), _) => kind,
        (None, Family::StableDiffusion1 | Family::StableDiffusionXl) => PredictionType::Epsilon,
        (None, Family::StableDiffusion2) => return Err(undecided()),
    };
    let zero_snr = file.get("ztsnr").is_some() && kind == PredictionType::VPrediction;
    Ok(Prediction { kind, zero_snr })
}

/// What the `modelspec` keys say (Stability AI's standard for metadata of models).
fn from_metadata(file: &WeightsFile<'_>) -> Option<PredictionType> {
    let metadata = file.metadata();
    let kind = metadata
        .get("modelspec.prediction_type")
        .map(String::as_str);
    match kind {
        Some("epsilon") => return Some(PredictionType::Epsilon),
        Some("v") => return Some(PredictionType::VPrediction),
        _ => {}
    }
    let architecture = metadata.get("modelspec.architecture")?;
    match architecture.split('/').next()? {
        "stable-diffusion-v2-768-v" => Some(PredictionType::VPrediction),
        "stable-diffusion-v2-512" => Some(PredictionType::Epsilon),
        _ => None,
    }
}

fn undecided() -> Error {
    Error::InvalidArgument(
        "a file of Stable Diffusion 2 does not say what it predicts: choose v_prediction (768 \
         pixels) or epsilon (base, 512 pixels)"
            .to_owned(),
    )
}
