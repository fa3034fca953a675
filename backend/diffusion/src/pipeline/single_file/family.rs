//! Which family a checkpoint belongs to, by the names of its tensors.

use crate::{
    Error, Result,
    weights::{StoredTensor, WeightsFile},
};

/// A family of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Stable Diffusion 1.x: `OpenAI`'s text encoder.
    StableDiffusion1,
    /// Stable Diffusion 2.x: the layer before the last of an open text encoder.
    StableDiffusion2,
    /// Stable Diffusion XL: both kinds of text encoder.
    StableDiffusionXl,
}

/// Starts of names that tell a family which is not supported.
const STRANGERS: &[(&str, &str)] = &[
    ("model.diffusion_model.joint_blocks.", "Stable Diffusion 3"),
    ("joint_blocks.", "Stable Diffusion 3"),
    ("model.diffusion_model.double_blocks.", "Flux"),
    ("double_blocks.", "Flux"),
    ("control_model.", "ControlNet"),
    ("lora_", "an adapter (LoRA), not a whole model"),
    (
        "conditioner.embedders.0.model.",
        "the refiner of Stable Diffusion XL",
    ),
];

/// The first tensor of every U-Net in the original layout.
const FIRST: &str = "model.diffusion_model.input_blocks.0.0.weight";

impl Family {
    /// Short name: `sd1`, `sd2` or `sdxl`.
    pub fn name(self) -> &'static str {
        match self {
            Self::StableDiffusion1 => "sd1",
            Self::StableDiffusion2 => "sd2",
            Self::StableDiffusionXl => "sdxl",
        }
    }

    /// The family of a file in the original layout.
    pub fn of(file: &WeightsFile<'_>) -> Result<Self> {
        let has = |prefix: &str| file.has_prefix(prefix);
        if let Some((_, value)) = STRANGERS.iter().find(|(prefix, _)| has(prefix)) {
            let value = (*value).to_owned();
            return Err(Error::Unsupported {
                what: "family",
                value,
            });
        }
        if !has("model.diffusion_model.") {
            return Err(unknown(file));
        }
        inputs(file)?;
        if has("conditioner.embedders.1.model.") {
            Ok(Self::StableDiffusionXl)
        } else if has("cond_stage_model.model.") {
            Ok(Self::StableDiffusion2)
        } else if has("cond_stage_model.transformer.") {
            Ok(Self::StableDiffusion1)
        } else {
            Err(Error::Unsupported {
                what: "checkpoint",
                value: "a denoiser without the text encoder that it was trained with".to_owned(),
            })
        }
    }
}

fn unknown(file: &WeightsFile<'_>) -> Error {
    let first = file.iter().next().map_or("no tensor", |(name, _)| name);
    Error::Unsupported {
        what: "checkpoint",
        value: format!("it is no whole model in the original layout; its first tensor is {first}"),
    }
}

/// Refuses denoisers that see more than noisy latents.
fn inputs(file: &WeightsFile<'_>) -> Result<()> {
    let shape = file.get(FIRST).map(StoredTensor::shape);
    match shape {
        Some([_, 9, ..]) => Err(Error::Unsupported {
            what: "family",
            value: format!("inpainting (tensor {FIRST} takes 9 channels)"),
        }),
        Some([_, 5 | 8, ..]) => Err(Error::Unsupported {
            what: "family",
            value: format!("a model conditioned on images (shape {shape:?} of tensor {FIRST})"),
        }),
        Some(_) => Ok(()),
        None => Err(Error::MissingTensor {
            name: FIRST.to_owned(),
            expected: Vec::new(),
        }),
    }
}
