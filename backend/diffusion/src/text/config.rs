//! Configuration of the text encoder, as transformers writes it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ops::Activation;

/// Activation of the feed-forward layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HiddenActivation {
    /// `x * sigmoid(1.702 x)` (the original CLIP).
    QuickGelu,
    /// Exact GELU (the open reproductions).
    Gelu,
}

impl From<HiddenActivation> for Activation {
    fn from(activation: HiddenActivation) -> Self {
        match activation {
            HiddenActivation::QuickGelu => Self::QuickGelu,
            HiddenActivation::Gelu => Self::Gelu,
        }
    }
}

/// Configuration of a `CLIPTextModel`; missing fields take transformers' defaults.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct TextConfig {
    /// Size of the vocabulary.
    pub vocab_size: usize,
    /// Channels of tokens.
    pub hidden_size: usize,
    /// Channels inside feed-forward layers.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Number of attention heads.
    pub num_attention_heads: usize,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Activation of the feed-forward layers.
    pub hidden_act: HiddenActivation,
    /// Epsilon of layer normalisations.
    pub layer_norm_eps: f64,
    /// Scale of fresh weights.
    pub initializer_factor: f64,
    /// Id of the end token, where [`super::TextEncoder::pooled`] reads.
    pub eos_token_id: Option<u32>,
    /// Channels of projected text, in a `CLIPTextModelWithProjection`.
    pub projection_dim: usize,
    /// Names of the classes that this configures.
    pub architectures: Option<Vec<String>>,
    /// Everything else in the file.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 49_408,
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: HiddenActivation::QuickGelu,
            layer_norm_eps: 1e-5,
            initializer_factor: 1.0,
            eos_token_id: Some(49_407),
            projection_dim: 512,
            architectures: Some(vec!["CLIPTextModel".to_owned()]),
            extra: Map::new(),
        }
    }
}

impl TextConfig {
    /// Whether the model ends in a projection.
    pub fn projects(&self) -> bool {
        let projecting = |name: &String| name == "CLIPTextModelWithProjection";
        let names = self.architectures.as_ref();
        names.is_some_and(|names| names.iter().any(projecting))
    }
}
