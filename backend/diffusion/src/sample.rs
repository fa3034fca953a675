//! Drawing images: any sampler, with classifier-free guidance.
//!
//! An image depends on its own seed and prompt; its neighbours in a batch change no more than
//! the rounding of matrix products.

use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{
    Error, Result, noise,
    pipeline::Pipeline,
    schedule::{Sampler, SamplerKind},
    unet::{Conditions, UNet},
};

/// Settings of [`sample`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleConfig {
    /// Denoising steps.
    pub steps: usize,
    /// Weight of the prompt against the empty prompt; 1 is the prompt alone.
    pub guidance_scale: f64,
    /// Images that are drawn at once.
    pub batch_size: usize,
    /// How a step is made of a prediction.
    pub sampler: SamplerKind,
}

impl Default for SampleConfig {
    /// 50 steps at a guidance of 7.5, as in Stable Diffusion's reference sampler.
    fn default() -> Self {
        Self {
            steps: 50,
            guidance_scale: 7.5,
            batch_size: 8,
            sampler: SamplerKind::Ddim,
        }
    }
}

/// Starting noise of the image with this seed: `[1, c, h, w]`.
pub fn start_noise(pipeline: &Pipeline, seed: u64, device: &Device) -> Result<Tensor> {
    let (channels, height, width) = pipeline.latent_shape();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    noise::gaussian(&mut rng, (1, channels, height, width), device)
}

/// Draws one image per prompt and seed.
///
/// The prediction is `e(empty) + guidance_scale * (e(prompt) - e(empty))` (Ho and Salimans, arXiv
/// 2207.12598, eq. 6). `unet` is given apart from the pipeline, so that one pipeline serves many
/// states of training. `progress` gets the steps done and planned over all batches; it may stop
/// the sampling, which gives [`Error::Cancelled`].
///
/// Result: pixels `[n, 3, h, w]` in `[-1, 1]`, in the host's memory, without gradients.
pub fn sample(
    pipeline: &Pipeline,
    unet: &UNet,
    prompts: &[String],
    seeds: &[u64],
    config: &SampleConfig,
    progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Tensor> {
    if prompts.len() != seeds.len() || prompts.is_empty() || config.batch_size == 0 {
        return Err(Error::InvalidArgument(format!(
            "{} prompts, {} seeds, batches of {}",
            prompts.len(),
            seeds.len(),
            config.batch_size
        )));
    }
    let plan = Sampler::new(config.sampler, &pipeline.noise_schedule()?, config.steps)?;
    let total = prompts.len().div_ceil(config.batch_size) * plan.timesteps().len();
    let mut completed = 0;
    let mut images = Vec::new();
    let batches = prompts
        .chunks(config.batch_size)
        .zip(seeds.chunks(config.batch_size));
    for (prompts, seeds) in batches {
        let denoiser = Denoiser::new(pipeline, unet, prompts, config.guidance_scale)?;
        let noise = seeds
            .iter()
            .map(|seed| start_noise(pipeline, *seed, denoiser.device()));
        let noise = Tensor::cat(&noise.collect::<Result<Vec<_>>>()?, 0)?;
        let latents = denoiser.denoise(&plan, &noise, &mut || {
            completed += 1;
            match progress(completed, total) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(Error::Cancelled { completed, total }),
            }
        })?;
        images.push(pipeline.decode_latents(&latents)?);
    }
    Ok(Tensor::cat(&images, 0)?)
}

/// Draws one image per prompt from given noise, all at once.
///
/// `noise: [n, c, h, w]`, standard normal; `config.batch_size` has no effect. Result as that of
/// [`sample`].
pub fn sample_from(
    pipeline: &Pipeline,
    unet: &UNet,
    prompts: &[String],
    noise: &Tensor,
    config: &SampleConfig,
) -> Result<Tensor> {
    let plan = Sampler::new(config.sampler, &pipeline.noise_schedule()?, config.steps)?;
    let denoiser = Denoiser::new(pipeline, unet, prompts, config.guidance_scale)?;
    let noise = noise.to_device(pipeline.device())?;
    pipeline.decode_latents(&denoiser.denoise(&plan, &noise, &mut || Ok(()))?)
}

/// A U-Net with the conditions of one batch.
struct Denoiser<'a> {
    unet: &'a UNet,
    conditions: Conditions,
    guidance_scale: f64,
}

impl<'a> Denoiser<'a> {
    fn new(
        pipeline: &Pipeline,
        unet: &'a UNet,
        prompts: &[String],
        guidance_scale: f64,
    ) -> Result<Self> {
        let mut conditions = pipeline.encode_prompts(prompts)?.detach();
        if guides(guidance_scale) {
            let empty = pipeline.unconditional()?.detach();
            let empty = empty.repeat(prompts.len())?;
            conditions = Conditions::cat(&[&empty, &conditions])?;
        }
        Ok(Self {
            unet,
            conditions,
            guidance_scale,
        })
    }

    fn device(&self) -> &Device {
        self.conditions.context.device()
    }

    /// Latents that `plan` makes of `noise`; `tick` hears of every step and may stop.
    fn denoise(
        &self,
        plan: &Sampler,
        noise: &Tensor,
        tick: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Tensor> {
        let mut sampler = plan.clone();
        let mut latents = (noise * sampler.initial_scale())?;
        for (index, timestep) in plan.timesteps().iter().enumerate() {
            let input = sampler.scale_input(&latents, index)?;
            let prediction = self.predict(&input, *timestep)?;
            latents = sampler.step(&prediction, index, &latents)?;
            tick()?;
        }
        Ok(latents)
    }

    fn predict(&self, latents: &Tensor, timestep: f64) -> Result<Tensor> {
        let entries = self.conditions.rows()?;
        let timesteps = Tensor::full(timestep, entries, latents.device())?.to_dtype(DType::F32)?;
        let ask = |latents: &Tensor| -> Result<Tensor> {
            let prediction = self.unet.forward(latents, &timesteps, &self.conditions)?;
            Ok(prediction.detach())
        };
        if !guides(self.guidance_scale) {
            return ask(latents);
        }
        let prediction = ask(&Tensor::cat(&[latents, latents], 0)?)?;
        let half = entries / 2;
        let (empty, prompt) = (
            prediction.narrow(0, 0, half)?,
            prediction.narrow(0, half, half)?,
        );
        Ok((&empty + ((prompt - &empty)? * self.guidance_scale)?)?)
    }
}

/// Whether the empty prompt has any weight.
fn guides(guidance_scale: f64) -> bool {
    (guidance_scale - 1.0).abs() > f64::EPSILON
}
