//! Sampling that tells how far it is and stops when nobody wants it any more. Refuses to choose prompts and seeds.

use std::ops::ControlFlow;

use candle_core::Tensor;
use diffusion::{
    pipeline::Pipeline,
    sample::{SampleConfig, sample},
    unet::UNet,
};

use crate::Result;

/// A picture for each prompt, `[n, 3, h, w]` in `[-1, 1]`; `tick` hears how many of them are done, by their share of
/// steps.
pub(crate) fn draw(
    pipeline: &Pipeline,
    model: &UNet,
    (prompts, seeds): (&[String], &[u64]),
    config: &SampleConfig,
    mut tick: impl FnMut(usize) -> Result<()>,
) -> Result<Tensor> {
    let mut stopped = Ok(());
    let mut progress = |step: usize, steps: usize| {
        stopped = tick(step * prompts.len() / steps);
        if stopped.is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    let pixels = sample(pipeline, model, prompts, seeds, config, &mut progress);
    stopped?;
    Ok(pixels?)
}
