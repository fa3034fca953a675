//! Multiply-adds of a U-Net, counted from the shapes of its weights.

use diffusion::{unet::UNetConfig, weights::Weights};

use crate::sizes::{SIDE, TOKENS};

/// Multiply-adds of a training step for one image, convolutions counted directly.
///
/// Forward, gradient of the weights, gradient of the inputs where one is needed. What is computed
/// again in the backward pass is not counted twice.
pub(crate) fn training(config: &UNetConfig, weights: &Weights) -> f64 {
    let levels = config.block_out_channels.len();
    let count = |(name, dims): (&str, &[usize])| -> usize {
        if dims.len() < 2 {
            return 0;
        }
        let passes = if ends_the_graph(name) { 2 } else { 3 };
        let layer = dims.iter().product::<usize>() * positions(levels, name) * passes;
        layer + 3 * scores(levels, name, dims[0])
    };
    let counts = weights.iter().map(|(name, tensor)| (name, tensor.dims()));
    counts.map(count).sum::<usize>() as f64
}

/// Whether the layer's input needs no gradient.
fn ends_the_graph(name: &str) -> bool {
    let ends = [
        "conv_in.",
        "time_embedding.linear_1.",
        "attn2.to_k.",
        "attn2.to_v.",
    ];
    ends.iter().any(|part| name.contains(part))
}

/// How often a layer is applied to one image.
fn positions(levels: usize, name: &str) -> usize {
    if name.contains("time_emb") {
        return 1;
    }
    if name.contains("attn2.to_k.") || name.contains("attn2.to_v.") {
        return TOKENS;
    }
    side(levels, name).pow(2)
}

/// Side of the layer's output.
fn side(levels: usize, name: &str) -> usize {
    let mut parts = name.split('.');
    let block = parts.next().unwrap_or_default();
    let index = parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    let moves = name.contains("samplers");
    SIDE >> match block {
        "down_blocks" => index + usize::from(moves),
        "up_blocks" => levels - 1 - index - usize::from(moves),
        "mid_block" => levels - 1,
        _ => 0,
    }
}

/// Products of queries with keys and of weights with values, counted at the queries' layer.
fn scores(levels: usize, name: &str, channels: usize) -> usize {
    let queries = side(levels, name).pow(2);
    if name.ends_with("attn1.to_q.weight") {
        2 * queries * queries * channels
    } else if name.ends_with("attn2.to_q.weight") {
        2 * queries * TOKENS * channels
    } else {
        0
    }
}
