//! Configuration of the U-Net, as diffusers writes it into `unet/config.json`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Error, Result};

/// One value for all levels, or one per level.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum PerLevel {
    /// The same at every level.
    Same(usize),
    /// From the highest resolution to the lowest.
    Each(Vec<usize>),
}

impl PerLevel {
    fn get(&self, level: usize) -> Option<usize> {
        match self {
            Self::Same(value) => Some(*value),
            Self::Each(values) => values.get(level).copied(),
        }
    }
}

/// Configuration of a `UNet2DConditionModel`.
///
/// Missing fields take diffusers' defaults (those of Stable Diffusion 1.x). Fields that are not
/// named here are kept in `extra`, written back unchanged, and refused where they would change
/// the computation.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct UNetConfig {
    /// Channels of the latents.
    pub in_channels: usize,
    /// Channels of the prediction.
    pub out_channels: usize,
    /// Channels per level, from the highest resolution to the lowest.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks per level on the way down; one more on the way up.
    pub layers_per_block: usize,
    /// `DownBlock2D` or `CrossAttnDownBlock2D` per level.
    pub down_block_types: Vec<String>,
    /// `UpBlock2D` or `CrossAttnUpBlock2D` per level, lowest resolution first.
    pub up_block_types: Vec<String>,
    /// `UNetMidBlock2DCrossAttn`.
    pub mid_block_type: Option<String>,
    /// Channels of the text context.
    pub cross_attention_dim: usize,
    /// Number of attention heads; the name is a historical mistake that diffusers keeps.
    pub attention_head_dim: PerLevel,
    /// Transformer blocks per attention.
    pub transformer_layers_per_block: PerLevel,
    /// Groups of every group normalisation.
    pub norm_num_groups: usize,
    /// Epsilon of the residual blocks' normalisations.
    pub norm_eps: f64,
    /// Whether attention projects with linear layers instead of 1x1 convolutions.
    pub use_linear_projection: bool,
    /// Height and width of the latents.
    pub sample_size: Option<usize>,
    /// Whether the time embedding is cosines, then sines.
    pub flip_sin_to_cos: bool,
    /// Shift of the time embedding's frequencies.
    pub freq_shift: f64,
    /// `text_time` where pooled text and sizes join the time embedding (Stable Diffusion XL).
    pub addition_embed_type: Option<String>,
    /// Channels of the embedding of each size.
    pub addition_time_embed_dim: Option<usize>,
    /// Channels of pooled text and all sizes together.
    pub projection_class_embeddings_input_dim: Option<usize>,
    /// Everything else in the file.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Default for UNetConfig {
    fn default() -> Self {
        let names = |names: [&str; 4]| names.map(str::to_owned).to_vec();
        let (down, up) = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D");
        Self {
            in_channels: 4,
            out_channels: 4,
            block_out_channels: vec![320, 640, 1280, 1280],
            layers_per_block: 2,
            down_block_types: names([down, down, down, "DownBlock2D"]),
            up_block_types: names(["UpBlock2D", up, up, up]),
            mid_block_type: Some("UNetMidBlock2DCrossAttn".to_owned()),
            cross_attention_dim: 1280,
            attention_head_dim: PerLevel::Same(8),
            transformer_layers_per_block: PerLevel::Same(1),
            norm_num_groups: 32,
            norm_eps: 1e-5,
            use_linear_projection: false,
            sample_size: None,
            flip_sin_to_cos: true,
            freq_shift: 0.0,
            addition_embed_type: None,
            addition_time_embed_dim: None,
            projection_class_embeddings_input_dim: None,
            extra: Map::new(),
        }
    }
}

/// What a level is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub(super) channels: usize,
    pub(super) heads: usize,
    pub(super) depth: usize,
    pub(super) attends_down: bool,
    pub(super) attends_up: bool,
}

/// Fields that would change the computation, with the values under which they do not.
const INERT: &[(&str, &[&str])] = &[
    ("act_fn", &["\"silu\"", "\"swish\""]),
    ("attention_type", &["\"default\""]),
    ("center_input_sample", &["false"]),
    ("class_embed_type", &["null"]),
    ("class_embeddings_concat", &["false"]),
    ("conv_in_kernel", &["3"]),
    ("conv_out_kernel", &["3"]),
    ("cross_attention_norm", &["null"]),
    ("downsample_padding", &["1"]),
    ("dropout", &["0.0", "0"]),
    ("dual_cross_attention", &["false"]),
    ("encoder_hid_dim", &["null"]),
    ("encoder_hid_dim_type", &["null"]),
    ("mid_block_only_cross_attention", &["null", "false"]),
    ("mid_block_scale_factor", &["1", "1.0"]),
    ("num_attention_heads", &["null"]),
    ("num_class_embeds", &["null"]),
    ("only_cross_attention", &["false"]),
    ("resnet_out_scale_factor", &["1.0", "1"]),
    ("resnet_skip_time_act", &["false"]),
    ("resnet_time_scale_shift", &["\"default\""]),
    ("reverse_transformer_layers_per_block", &["null"]),
    ("time_cond_proj_dim", &["null"]),
    ("time_embedding_act_fn", &["null"]),
    ("time_embedding_dim", &["null"]),
    ("time_embedding_type", &["\"positional\""]),
    ("timestep_post_act", &["null"]),
];

/// Most levels; known models have four.
const MAX_LEVELS: usize = 16;

impl UNetConfig {
    /// Channels of the time embedding.
    pub(super) fn time_channels(&self) -> usize {
        4 * self.block_out_channels[0]
    }

    /// Channels that join the time embedding, where the model takes any.
    pub(crate) fn added_channels(&self) -> Option<usize> {
        self.addition_embed_type.as_ref()?;
        self.projection_class_embeddings_input_dim
    }

    /// Checks the configuration and lists its levels, highest resolution first.
    pub(super) fn levels(&self) -> Result<Vec<Level>> {
        self.refuse_unsupported()?;
        let count = self.block_out_channels.len();
        let agree = (1..=MAX_LEVELS).contains(&count)
            && !self.block_out_channels.contains(&0)
            && self.layers_per_block > 0
            && self.down_block_types.len() == count
            && self.up_block_types.len() == count;
        if !agree || !self.block_out_channels[0].is_multiple_of(2) {
            return Err(Error::InvalidConfig(format!(
                "block_out_channels {:?}, {} layers, blocks {:?} and {:?}",
                self.block_out_channels,
                self.layers_per_block,
                self.down_block_types,
                self.up_block_types,
            )));
        }
        (0..count).map(|level| self.level(level)).collect()
    }

    fn level(&self, level: usize) -> Result<Level> {
        let down = self.down_block_types[level].as_str();
        let up = self.up_block_types[self.up_block_types.len() - 1 - level].as_str();
        let attends = |name: &str, plain: &str, attending: &str| match name {
            name if name == plain => Ok(false),
            name if name == attending => Ok(true),
            other => Err(Error::Unsupported {
                what: "block type",
                value: other.to_owned(),
            }),
        };
        let channels = self.block_out_channels[level];
        let heads = self.attention_head_dim.get(level).unwrap_or(0);
        if heads == 0 || !channels.is_multiple_of(heads) {
            return Err(Error::InvalidConfig(format!(
                "{channels} channels in {heads} heads"
            )));
        }
        let depth = self
            .transformer_layers_per_block
            .get(level)
            .ok_or_else(|| {
                Error::InvalidConfig(format!("no transformer_layers_per_block for level {level}"))
            })?;
        Ok(Level {
            channels,
            heads,
            depth,
            attends_down: attends(down, "DownBlock2D", "CrossAttnDownBlock2D")?,
            attends_up: attends(up, "UpBlock2D", "CrossAttnUpBlock2D")?,
        })
    }

    fn refuse_unsupported(&self) -> Result<()> {
        let middle = self.mid_block_type.as_deref().unwrap_or("null");
        if middle != "UNetMidBlock2DCrossAttn" {
            return Err(Error::Unsupported {
                what: "block type",
                value: middle.to_owned(),
            });
        }
        let added = self.addition_embed_type.as_deref();
        if let Some(value) = added.filter(|kind| *kind != "text_time") {
            return Err(Error::Unsupported {
                what: "addition_embed_type",
                value: value.to_owned(),
            });
        }
        let sized = self.addition_time_embed_dim.is_some_and(|dim| dim % 2 == 0);
        if added.is_some() && (!sized || self.projection_class_embeddings_input_dim.is_none()) {
            return Err(Error::InvalidConfig(
                "text_time without an even addition_time_embed_dim and its input's channels"
                    .to_owned(),
            ));
        }
        for (field, inert) in INERT {
            if let Some(value) = self.extra.get(*field) {
                let value = value.to_string();
                if !inert.contains(&value.as_str()) {
                    return Err(Error::Unsupported { what: field, value });
                }
            }
        }
        Ok(())
    }
}
