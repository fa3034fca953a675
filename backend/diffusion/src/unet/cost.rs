//! What a pass of the U-Net computes and what its graph keeps, counted without running it.
//!
//! It walks the same blocks as [`super::UNet::forward`]; a change there needs one here, and the
//! program `plan_check` compares both.

use super::{Level, UNetConfig};
use crate::Result;

/// Sizes of one pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    /// Rows.
    pub(crate) batch: usize,
    /// Height of the latents.
    pub(crate) height: usize,
    /// Width of the latents.
    pub(crate) width: usize,
    /// Tokens of the text.
    pub(crate) tokens: usize,
}

/// A part of the network that checkpointing runs as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Values that enter it, were they kept alone.
    pub(crate) inputs: usize,
    /// Values that its graph keeps, its result among them.
    pub(crate) kept: usize,
    /// Values of the largest of its tensors.
    pub(crate) largest: usize,
    /// Values of its result.
    pub(crate) result: usize,
    /// Values of its weights.
    pub(crate) weights: usize,
    /// Values of its largest 3x3 kernel.
    pub(crate) kernel: usize,
    /// Multiply-adds of its forward pass.
    pub(crate) products: usize,
    /// Whether its result waits for the way up as a skip.
    pub(crate) is_skip: bool,
    /// Values of the skip that it takes.
    pub(crate) takes: usize,
}

impl Segment {
    /// An operator's result of `values`.
    fn keep(&mut self, values: usize) {
        self.kept += values;
        self.largest = self.largest.max(values);
        self.result = values;
    }

    /// A layer of `weights` (biases aside) over `positions` that gives `outputs` a position.
    fn layer(&mut self, positions: usize, inputs: usize, outputs: usize, taps: usize) {
        self.weights += inputs * outputs * taps;
        if taps > 1 {
            self.kernel = self.kernel.max(inputs * outputs * taps);
        }
        self.products += positions * inputs * outputs * taps;
        self.keep(positions * outputs);
    }
}

/// The segments of a pass, in the order of the forward pass.
pub(crate) fn segments(config: &UNetConfig, pass: Pass) -> Result<Vec<Segment>> {
    let levels = config.levels()?;
    let walk = Walk { config, pass };
    let mut sizes = vec![(pass.height, pass.width)];
    for _ in 1..levels.len() {
        let (height, width) = sizes[sizes.len() - 1];
        sizes.push((height.div_ceil(2), width.div_ceil(2)));
    }
    let pixels = |level: usize| pass.batch * sizes[level].0 * sizes[level].1;
    let first = levels[0].channels;
    let mut segments = vec![
        walk.time(),
        convolution(pixels(0), config.in_channels, first),
    ];
    let mut skips = vec![(first, pixels(0))];
    let mut channels = first;
    for (index, level) in levels.iter().enumerate() {
        for _ in 0..config.layers_per_block {
            segments.extend(walk.stage(pixels(index), (channels, 0), *level, level.attends_down));
            channels = level.channels;
            skips.push((channels, pixels(index)));
            mark_skip(&mut segments);
        }
        if index + 1 < levels.len() {
            segments.push(convolution(pixels(index + 1), channels, channels));
            skips.push((channels, pixels(index + 1)));
            mark_skip(&mut segments);
        }
    }
    let last = levels[levels.len() - 1];
    let bottom = pixels(levels.len() - 1);
    segments.extend(walk.stage(bottom, (channels, 0), last, true));
    segments.push(walk.residual(bottom, (channels, 0), last.channels));
    for (index, level) in levels.iter().enumerate().rev() {
        for _ in 0..=config.layers_per_block {
            let (skip, _) = skips.pop().unwrap_or_default();
            segments.extend(walk.stage(pixels(index), (channels, skip), *level, level.attends_up));
            channels = level.channels;
        }
        if index > 0 {
            let mut upsample = convolution(pixels(index - 1), channels, channels);
            upsample.keep(pixels(index - 1) * channels);
            upsample.inputs = pixels(index) * channels;
            upsample.result = pixels(index - 1) * channels;
            segments.push(upsample);
        }
    }
    let mut end = convolution(pixels(0), channels, config.out_channels);
    end.keep(pixels(0) * channels);
    segments.push(end);
    Ok(segments)
}

fn mark_skip(segments: &mut [Segment]) {
    if let Some(segment) = segments.last_mut() {
        segment.is_skip = true;
    }
}

/// A 3x3 convolution.
fn convolution(pixels: usize, inputs: usize, outputs: usize) -> Segment {
    let mut segment = Segment {
        inputs: pixels * inputs,
        ..Segment::default()
    };
    segment.layer(pixels, inputs, outputs, 9);
    segment
}

struct Walk<'a> {
    config: &'a UNetConfig,
    pass: Pass,
}

impl Walk<'_> {
    /// The embedding of timesteps, and of pooled text where there is any.
    fn time(&self) -> Segment {
        let (rows, first) = (self.pass.batch, self.config.block_out_channels[0]);
        let time = self.config.time_channels();
        let mut segment = Segment::default();
        for inputs in [Some(first), self.config.added_channels()]
            .into_iter()
            .flatten()
        {
            segment.layer(rows, inputs, time, 1);
            segment.keep(rows * time);
            segment.layer(rows, time, time, 1);
        }
        segment.keep(rows * time);
        segment
    }

    /// A residual block, and a transformer behind it at levels that attend.
    fn stage(
        &self,
        pixels: usize,
        inputs: (usize, usize),
        level: Level,
        attends: bool,
    ) -> Vec<Segment> {
        let mut segments = vec![self.residual(pixels, inputs, level.channels)];
        segments.extend(attends.then(|| self.transformer(pixels, level)));
        segments
    }

    /// A residual block over what comes from below and a skip.
    fn residual(&self, pixels: usize, (below, skip): (usize, usize), outputs: usize) -> Segment {
        let inputs = below + skip;
        let rows = self.pass.batch;
        let mut segment = Segment {
            inputs: pixels * inputs,
            takes: pixels * skip,
            ..Segment::default()
        };
        if skip > 0 {
            segment.keep(pixels * inputs);
        }
        segment.weights += 2 * inputs + 2 * outputs;
        segment.keep(pixels * inputs);
        segment.layer(pixels, inputs, outputs, 9);
        segment.layer(rows, self.config.time_channels(), outputs, 1);
        segment.keep(pixels * outputs);
        segment.keep(pixels * outputs);
        segment.layer(pixels, outputs, outputs, 9);
        if inputs != outputs {
            segment.layer(pixels, inputs, outputs, 1);
        }
        segment.keep(pixels * outputs);
        segment
    }

    fn transformer(&self, pixels: usize, level: Level) -> Segment {
        let channels = level.channels;
        let values = pixels * channels;
        let mut segment = Segment {
            inputs: values,
            weights: 2 * channels,
            ..Segment::default()
        };
        segment.keep(values);
        segment.keep(values);
        segment.layer(pixels, channels, channels, 1);
        for _ in 0..level.depth {
            self.layer(&mut segment, pixels, channels);
        }
        segment.layer(pixels, channels, channels, 1);
        segment.keep(values);
        segment.keep(values);
        segment
    }

    /// Self-attention, cross-attention and the gated feed-forward layer.
    fn layer(&self, segment: &mut Segment, pixels: usize, channels: usize) {
        let (values, batch) = (pixels * channels, self.pass.batch);
        let text = batch * self.pass.tokens;
        for (keys, width) in [(pixels, channels), (text, self.config.cross_attention_dim)] {
            segment.weights += 2 * channels;
            segment.keep(values);
            segment.layer(pixels, channels, channels, 1);
            segment.layer(keys, width, channels, 1);
            segment.layer(keys, width, channels, 1);
            segment.products += 2 * pixels * keys / batch * channels;
            segment.keep(values);
            segment.layer(pixels, channels, channels, 1);
            segment.keep(values);
        }
        segment.weights += 2 * channels;
        segment.keep(values);
        segment.layer(pixels, channels, 8 * channels, 1);
        segment.keep(4 * values);
        segment.layer(pixels, 4 * channels, channels, 1);
        segment.keep(values);
    }
}
