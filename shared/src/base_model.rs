//! Base models that can be protected.

use serde::{Deserialize, Serialize};

use crate::{ModelId, Timestamp};

/// A text-to-image model that this server may protect, pinned by its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BaseModel {
    /// Identifies the model.
    pub id: ModelId,
    /// What people call it.
    pub name: String,
    /// Architecture family: `tiny` is the embedded demo size.
    pub family: String,
    /// Side of its images in pixels.
    pub resolution: u32,
    /// Licence of the weights (SPDX, or what its importer calls it).
    pub licence: String,
    /// SHA-256 over the sorted list of its files' names and hashes.
    pub sha256: String,
    /// All files together.
    pub size_bytes: u64,
    /// Class words that it draws well; empty if unknown.
    pub classes: Vec<String>,
    /// Vetted classes for the target objective.
    pub targets: Vec<String>,
    /// Identifiers that are a single token in its vocabulary.
    pub identifiers: Vec<String>,
    /// Whether the caller imported it; other models are everybody's.
    #[serde(default)]
    pub imported: bool,
    /// What its verification found; absent where it came with the server.
    #[serde(default)]
    pub facts: Option<ModelFacts>,
    /// When it was registered here.
    pub created_at: Timestamp,
}

/// What the verification of an imported model found in its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelFacts {
    /// How its files lie: a diffusers folder or a single file.
    pub layout: String,
    /// What its denoiser predicts, such as `epsilon` or `v_prediction`.
    pub prediction_type: String,
    /// Numbers that it learned.
    pub parameters: ModelParameters,
    /// Types of its tensors, such as `f16`.
    pub dtypes: Vec<String>,
    /// The file that holds its licence, if one came along.
    pub licence_file: Option<String>,
    /// What is unusual, but no reason to refuse it.
    pub warnings: Vec<String>,
}

/// How many parameters the parts of a model have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelParameters {
    /// The denoiser.
    pub unet: u64,
    /// Between pixels and latents; 0 where latents are pixels.
    pub vae: u64,
    /// The text encoder.
    pub text_encoder: u64,
    /// The second text encoder of a large model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_encoder_2: Option<u64>,
    /// All together.
    pub total: u64,
}

impl ModelParameters {
    /// Memory of the weights in `f32`.
    pub fn weights_bytes(&self) -> u64 {
        self.total.saturating_mul(4)
    }

    /// Least memory of a training step in bytes: 16 for every trained parameter (`f32` weight, gradient, two AdamW
    /// moments) and 4 for every other one. Activations come on top.
    pub fn least_training_bytes(&self) -> u64 {
        let frozen = self.total.saturating_sub(self.unet);
        self.unet
            .saturating_mul(16)
            .saturating_add(frozen.saturating_mul(4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stable_diffusion_needs_at_least_14_gb() {
        let parameters = ModelParameters {
            unet: 859_520_964,
            vae: 83_653_863,
            text_encoder: 123_060_480,
            text_encoder_2: None,
            total: 1_066_235_307,
        };
        assert_eq!(parameters.least_training_bytes() / 1_000_000_000, 14);
        assert_eq!(parameters.weights_bytes() / 1_000_000_000, 4);
    }
}
