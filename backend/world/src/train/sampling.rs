//! Pictures for gates and sheets. Refuses to judge them.

use std::ops::ControlFlow;

use candle_core::Tensor;
use diffusion::pipeline::Pipeline;
use diffusion::sample::SampleConfig;
use diffusion::schedule::SamplerKind;
use diffusion::unet::UNet;
use diffusion::{Result, sample};

/// How the gates sample. At a guidance of 4 the colours of backgrounds shift (.88 of them are read as asked, 1.0 at 3).
pub const CONFIG: SampleConfig = SampleConfig {
    steps: 20,
    guidance_scale: 3.0,
    batch_size: 16,
    sampler: SamplerKind::Ddim,
};

/// One picture a prompt, `[n, 3, 32, 32]`; picture `i` has seed `first_seed + i`.
pub fn pictures(
    pipeline: &Pipeline,
    unet: &UNet,
    prompts: &[String],
    first_seed: u64,
    config: &SampleConfig,
) -> Result<Tensor> {
    let seeds: Vec<u64> = (first_seed..).take(prompts.len()).collect();
    let mut tick = |_: usize, _: usize| ControlFlow::Continue(());
    sample::sample(pipeline, unet, prompts, &seeds, config, &mut tick)
}
