//! The autoencoder in the original layout: names and configuration.

use super::Family;
use crate::{Error, Result, vae::KlConfig, weights::WeightsFile};

const PREFIX: &str = "first_stage_model.";

/// Scale of the latents of Stable Diffusion XL; that of the others is the default.
const XL_SCALE: f64 = 0.130_25;

/// The autoencoder's tensors under diffusers' names.
pub(super) fn renamed<'a>(file: &WeightsFile<'a>) -> WeightsFile<'a> {
    let own = file.renamed(|name| name.strip_prefix(PREFIX).map(str::to_owned));
    let levels = (0..own.len()).take_while(|level| own.has_prefix(&format!("decoder.up.{level}.")));
    let levels = levels.count();
    own.mapped(|name, stored| {
        let name = rename(name, levels)?;
        let attends = name.contains(".attentions.");
        let stored = if attends {
            stored.as_matrix()
        } else {
            stored.clone()
        };
        Some((name, stored))
    })
}

fn rename(name: &str, levels: usize) -> Option<String> {
    let (side, rest) = name.split_once('.')?;
    match (side, rest.split_once('.').unwrap_or((rest, ""))) {
        ("encoder" | "decoder", ("mid", rest)) => Some(format!("{side}.{}", middle(rest)?)),
        ("encoder" | "decoder", ("norm_out", leaf)) => Some(format!("{side}.conv_norm_out.{leaf}")),
        ("encoder", ("down", rest)) => {
            let (level, rest) = level(rest)?;
            Some(format!("encoder.down_blocks.{level}.{}", block(rest)?))
        }
        ("decoder", ("up", rest)) => {
            let (level, rest) = level(rest)?;
            // The original counts from the highest resolution, diffusers in the order of use.
            let level = levels.checked_sub(level + 1)?;
            Some(format!("decoder.up_blocks.{level}.{}", block(rest)?))
        }
        _ => Some(name.to_owned()),
    }
}

fn level(rest: &str) -> Option<(usize, &str)> {
    let (level, rest) = rest.split_once('.')?;
    Some((level.parse().ok()?, rest))
}

fn block(rest: &str) -> Option<String> {
    match rest.split_once('.')? {
        ("block", rest) => {
            let (index, leaf) = level(rest)?;
            Some(format!("resnets.{index}.{}", residual(leaf)))
        }
        ("downsample", leaf) => Some(format!("downsamplers.0.{leaf}")),
        ("upsample", leaf) => Some(format!("upsamplers.0.{leaf}")),
        _ => None,
    }
}

fn residual(leaf: &str) -> String {
    leaf.replace("nin_shortcut.", "conv_shortcut.")
}

fn middle(rest: &str) -> Option<String> {
    let attention = |name: &str, leaf: &str| Some(format!("mid_block.attentions.0.{name}.{leaf}"));
    match rest.split_once('.')? {
        ("block_1", leaf) => Some(format!("mid_block.resnets.0.{}", residual(leaf))),
        ("block_2", leaf) => Some(format!("mid_block.resnets.1.{}", residual(leaf))),
        ("attn_1", rest) => match rest.split_once('.')? {
            ("norm", leaf) => attention("group_norm", leaf),
            ("proj_out", leaf) => attention("to_out.0", leaf),
            (name @ ("q" | "k" | "v"), leaf) => attention(&format!("to_{name}"), leaf),
            _ => None,
        },
        _ => None,
    }
}

/// The configuration that the shapes of renamed tensors imply.
pub(super) fn config(file: &WeightsFile<'_>, family: Family) -> Result<KlConfig> {
    let shape = |name: &str| file.get(name).map(|stored| stored.shape().to_vec());
    let dim = |name: &str, axis: usize| {
        let dims = shape(name).unwrap_or_default();
        dims.get(axis).copied().ok_or_else(|| Error::MissingTensor {
            name: format!("{PREFIX}{name}"),
            expected: Vec::new(),
        })
    };
    let first = |level: usize| format!("encoder.down_blocks.{level}.resnets.0.conv1.weight");
    let channels = (0..file.len())
        .map_while(|level| shape(&first(level)))
        .filter_map(|shape| shape.first().copied())
        .collect::<Vec<_>>();
    let layer = |layer: &usize| {
        let name = format!("encoder.down_blocks.0.resnets.{layer}.conv1.weight");
        file.get(&name).is_some()
    };
    let defaults = KlConfig::default();
    let xl = family == Family::StableDiffusionXl;
    Ok(KlConfig {
        in_channels: dim("encoder.conv_in.weight", 1)?,
        out_channels: dim("decoder.conv_out.weight", 0)?,
        down_block_types: vec!["DownEncoderBlock2D".to_owned(); channels.len()],
        up_block_types: vec!["UpDecoderBlock2D".to_owned(); channels.len()],
        layers_per_block: (0..file.len()).take_while(layer).count(),
        latent_channels: dim("post_quant_conv.weight", 0)?,
        scaling_factor: if xl {
            XL_SCALE
        } else {
            defaults.scaling_factor
        },
        block_out_channels: channels,
        ..defaults
    })
}
