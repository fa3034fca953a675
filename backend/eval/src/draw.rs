//! Drawing pictures from a model. Refuses to choose seeds.

use std::ops::ControlFlow;

use candle_core::Tensor;
use diffusion::{
    pipeline::Pipeline,
    sample::{SampleConfig, sample},
    unet::UNet,
};

use crate::Result;

/// Pixels `[seeds, 3, h, w]` in `[-1, 1]`, one picture for each seed.
///
/// `tick` hears of the pictures done and planned, and may stop with an error.
pub fn draw(
    pipeline: &Pipeline,
    unet: &UNet,
    prompt: &str,
    seeds: &[u64],
    config: &SampleConfig,
    tick: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<Tensor> {
    let prompts = vec![prompt.to_owned(); seeds.len()];
    draw_each(pipeline, unet, (&prompts, seeds), config, tick)
}

/// Pixels `[n, 3, h, w]` in `[-1, 1]`, one picture for each of `n` prompts and seeds.
///
/// `tick` hears of the pictures done and planned, and may stop with an error.
pub fn draw_each(
    pipeline: &Pipeline,
    unet: &UNet,
    (prompts, seeds): (&[String], &[u64]),
    config: &SampleConfig,
    tick: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<Tensor> {
    let mut stopped = Ok(());
    let mut progress = |done: usize, total: usize| {
        stopped = tick(done * seeds.len() / total, seeds.len());
        if stopped.is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    let drawn = sample(pipeline, unet, prompts, seeds, config, &mut progress);
    stopped?;
    Ok(drawn?)
}
