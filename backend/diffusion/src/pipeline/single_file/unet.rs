//! The denoiser in the original layout: names and configuration.

use super::Family;
use crate::{
    Error, Result,
    schedule::PredictionType,
    unet::{PerLevel, UNetConfig},
    weights::{StoredTensor, WeightsFile},
};

const PREFIX: &str = "model.diffusion_model.";

/// Channels of a head of Stable Diffusion 2 and XL; version 1 has eight heads everywhere.
const HEAD: usize = 64;

/// The denoiser's tensors under diffusers' names.
pub(super) fn renamed<'a>(file: &WeightsFile<'a>) -> WeightsFile<'a> {
    let own = file.renamed(|name| name.strip_prefix(PREFIX).map(str::to_owned));
    let layout = Layout::of(&own);
    own.renamed(|name| layout.rename(name))
}

/// How blocks are numbered.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Residual blocks per level on the way down, and the one that halves the resolution.
    stride: usize,
}

impl Layout {
    /// The first block that halves the resolution ends the first level.
    fn of(file: &WeightsFile<'_>) -> Self {
        let halves = |index: &usize| {
            file.get(&format!("input_blocks.{index}.0.op.weight"))
                .is_some()
        };
        let blocks =
            (0..file.len()).take_while(|index| file.has_prefix(&format!("input_blocks.{index}.")));
        let blocks = blocks.count();
        let stride = (0..blocks).find(halves).unwrap_or(blocks);
        Self {
            stride: stride.max(1),
        }
    }

    fn rename(self, name: &str) -> Option<String> {
        let (block, rest) = name.split_once('.')?;
        match block {
            "input_blocks" => self.input(rest),
            "middle_block" => middle(rest),
            "output_blocks" => self.output(rest),
            "time_embed" => embedding(rest, "time_embedding"),
            "label_emb" => embedding(rest.strip_prefix("0.")?, "add_embedding"),
            "out" => match rest.split_once('.')? {
                ("0", leaf) => Some(format!("conv_norm_out.{leaf}")),
                ("2", leaf) => Some(format!("conv_out.{leaf}")),
                _ => None,
            },
            _ => None,
        }
    }

    fn input(self, rest: &str) -> Option<String> {
        let (index, part, leaf) = numbers(rest)?;
        let Some(index) = index.checked_sub(1) else {
            return (part == 0).then(|| format!("conv_in.{leaf}"));
        };
        let (level, layer) = (index / self.stride, index % self.stride);
        match (part, leaf.strip_prefix("op.")) {
            (0, Some(leaf)) => Some(format!("down_blocks.{level}.downsamplers.0.conv.{leaf}")),
            (0, None) => residual(&format!("down_blocks.{level}.resnets.{layer}"), leaf),
            (1, _) => Some(format!("down_blocks.{level}.attentions.{layer}.{leaf}")),
            _ => None,
        }
    }

    fn output(self, rest: &str) -> Option<String> {
        let (index, part, leaf) = numbers(rest)?;
        // On the way up a level has one residual block more, and nothing beside them.
        let (level, layer) = (index / self.stride, index % self.stride);
        match (part, leaf.strip_prefix("conv.")) {
            (0, _) => residual(&format!("up_blocks.{level}.resnets.{layer}"), leaf),
            (1 | 2, Some(leaf)) => Some(format!("up_blocks.{level}.upsamplers.0.conv.{leaf}")),
            (1, None) => Some(format!("up_blocks.{level}.attentions.{layer}.{leaf}")),
            _ => None,
        }
    }
}

/// `INDEX.PART.LEAF`.
fn numbers(rest: &str) -> Option<(usize, usize, &str)> {
    let (index, rest) = rest.split_once('.')?;
    let (part, leaf) = rest.split_once('.')?;
    Some((index.parse().ok()?, part.parse().ok()?, leaf))
}

fn middle(rest: &str) -> Option<String> {
    match rest.split_once('.')? {
        ("0", leaf) => residual("mid_block.resnets.0", leaf),
        ("1", leaf) => Some(format!("mid_block.attentions.0.{leaf}")),
        ("2", leaf) => residual("mid_block.resnets.1", leaf),
        _ => None,
    }
}

fn embedding(rest: &str, name: &str) -> Option<String> {
    match rest.split_once('.')? {
        ("0", leaf) => Some(format!("{name}.linear_1.{leaf}")),
        ("2", leaf) => Some(format!("{name}.linear_2.{leaf}")),
        _ => None,
    }
}

/// The layers of a residual block, by their places in the original's sequences.
const RESIDUAL: &[(&str, &str)] = &[
    ("in_layers.0.", "norm1"),
    ("in_layers.2.", "conv1"),
    ("emb_layers.1.", "time_emb_proj"),
    ("out_layers.0.", "norm2"),
    ("out_layers.3.", "conv2"),
    ("skip_connection.", "conv_shortcut"),
];

fn residual(block: &str, leaf: &str) -> Option<String> {
    RESIDUAL.iter().find_map(|(old, new)| {
        let leaf = leaf.strip_prefix(old)?;
        Some(format!("{block}.{new}.{leaf}"))
    })
}

/// The configuration that the shapes of renamed tensors imply.
pub(super) fn config(
    file: &WeightsFile<'_>,
    family: Family,
    prediction: PredictionType,
) -> Result<UNetConfig> {
    let levels = (0..file.len())
        .take_while(|level| file.has_prefix(&format!("down_blocks.{level}.")))
        .count();
    let dim = |name: &str, axis: usize| dim(file, name, axis);
    let channels = (0..levels)
        .map(|level| dim(&format!("down_blocks.{level}.resnets.0.conv1.weight"), 0))
        .collect::<Result<Vec<_>>>()?;
    let layers = (0..file.len())
        .take_while(|layer| file.has_prefix(&format!("down_blocks.0.resnets.{layer}.")));
    let attends =
        |way: &str, index: usize| file.has_prefix(&format!("{way}_blocks.{index}.attentions."));
    let kind = |way: &str, name: &str, index: usize| {
        let cross = if attends(way, index) { "CrossAttn" } else { "" };
        format!("{cross}{name}Block2D")
    };
    let xl = family == Family::StableDiffusionXl;
    let pooled = xl
        .then(|| dim("add_embedding.linear_1.weight", 1))
        .transpose()?;
    let middle = "mid_block.attentions.0";
    let context = format!("{middle}.transformer_blocks.0.attn2.to_k.weight");
    let projection = dim_count(file, &format!("{middle}.proj_in.weight"))?;
    Ok(UNetConfig {
        in_channels: dim("conv_in.weight", 1)?,
        out_channels: dim("conv_out.weight", 0)?,
        layers_per_block: layers.count(),
        down_block_types: (0..levels)
            .map(|level| kind("down", "Down", level))
            .collect(),
        up_block_types: (0..levels).map(|level| kind("up", "Up", level)).collect(),
        cross_attention_dim: dim(&context, 1)?,
        attention_head_dim: heads(family, &channels)?,
        transformer_layers_per_block: depths(file, levels),
        use_linear_projection: projection == 2,
        sample_size: Some(sample_size(file, family, prediction)),
        addition_embed_type: xl.then(|| "text_time".to_owned()),
        addition_time_embed_dim: xl.then_some(256),
        projection_class_embeddings_input_dim: pooled,
        block_out_channels: channels,
        ..UNetConfig::default()
    })
}

fn dim(file: &WeightsFile<'_>, name: &str, axis: usize) -> Result<usize> {
    let shape = file.get(name).map(StoredTensor::shape);
    shape
        .and_then(|shape| shape.get(axis).copied())
        .ok_or_else(|| Error::MissingTensor {
            name: name.to_owned(),
            expected: Vec::new(),
        })
}

fn dim_count(file: &WeightsFile<'_>, name: &str) -> Result<usize> {
    dim(file, name, 0)?;
    Ok(file.get(name).map_or(0, |stored| stored.shape().len()))
}

fn heads(family: Family, channels: &[usize]) -> Result<PerLevel> {
    if family == Family::StableDiffusion1 {
        return Ok(PerLevel::Same(8));
    }
    match channels
        .iter()
        .find(|channels| !channels.is_multiple_of(HEAD))
    {
        None => Ok(PerLevel::Each(
            channels.iter().map(|channels| channels / HEAD).collect(),
        )),
        Some(channels) => Err(Error::InvalidConfig(format!(
            "{channels} channels in heads of {HEAD}; give the U-Net's configuration"
        ))),
    }
}

/// Transformer blocks of every level; the last level's are those of the middle.
fn depths(file: &WeightsFile<'_>, levels: usize) -> PerLevel {
    let count = |place: &str| {
        let block =
            |index: &usize| file.has_prefix(&format!("{place}.transformer_blocks.{index}."));
        (0..file.len()).take_while(block).count()
    };
    let mut depths: Vec<usize> = (0..levels)
        .map(|level| count(&format!("down_blocks.{level}.attentions.0")).max(1))
        .collect();
    if let Some(last) = depths.last_mut() {
        *last = count("mid_block.attentions.0");
    }
    match depths.first() {
        Some(first) if depths.iter().all(|depth| depth == first) => PerLevel::Same(*first),
        _ => PerLevel::Each(depths),
    }
}

/// Height and width of the latents in training: what the file says, else that of the published model.
fn sample_size(file: &WeightsFile<'_>, family: Family, prediction: PredictionType) -> usize {
    let said = file.metadata().get("modelspec.resolution");
    let side = said.and_then(|said| said.split('x').next()?.trim().parse::<usize>().ok());
    if let Some(side) = side.filter(|side| side.is_multiple_of(8) && (64..=4096).contains(side)) {
        return side / 8;
    }
    match (family, prediction) {
        (Family::StableDiffusionXl, _) => 128,
        (Family::StableDiffusion2, PredictionType::VPrediction) => 96,
        _ => 64,
    }
}
