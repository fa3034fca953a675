//! Twenty steps of DPM-Solver++ with guidance, without the autoencoder.

use std::{path::Path, time::Instant};

use anyhow::{Context, Result};
use candle_core::{DType, Tensor};
use diffusion::{
    schedule::{BetaSchedule, NoiseSchedule, Sampler, SamplerKind, ScheduleConfig, Spacing},
    unet::{Conditions, UNet},
};

use crate::{
    files,
    work::{Case, since},
};

const STEPS: usize = 20;
const GUIDANCE: f64 = 7.5;

pub(crate) struct Sampling {
    unet: UNet,
    sampler: Sampler,
    noise: Tensor,
    /// The empty prompt's states, then the prompts'.
    conditions: Conditions,
}

impl Sampling {
    pub(crate) fn new(place: &Path, batch: usize) -> Result<Self> {
        let weights = files::weights(place, "diffusion_pytorch_model")?;
        let inputs = files::inputs(place, batch)?;
        let input = |name: &str| inputs.get(name).context("written beside the weights");
        let context = input("context")?;
        let schedule = NoiseSchedule::new(&ScheduleConfig {
            beta_start: 0.000_85,
            beta_end: 0.012,
            beta_schedule: BetaSchedule::ScaledLinear,
            steps_offset: 1,
            timestep_spacing: Some(Spacing::Leading),
            ..ScheduleConfig::default()
        })?;
        Ok(Self {
            unet: UNet::new(files::config(place)?, &weights)?,
            sampler: Sampler::new(SamplerKind::DpmSolver, &schedule, STEPS)?,
            noise: input("latents")?.clone(),
            conditions: Tensor::cat(&[&context.zeros_like()?, context], 0)?.into(),
        })
    }

    fn predict(&self, latents: &Tensor, timestep: f64) -> Result<Tensor> {
        let batch = latents.dim(0)?;
        let timesteps =
            Tensor::full(timestep, 2 * batch, latents.device())?.to_dtype(DType::F32)?;
        let doubled = Tensor::cat(&[latents, latents], 0)?;
        let prediction = self.unet.forward(&doubled, &timesteps, &self.conditions)?;
        let (empty, prompt) = (
            prediction.narrow(0, 0, batch)?,
            prediction.narrow(0, batch, batch)?,
        );
        Ok((&empty + ((prompt - &empty)? * GUIDANCE)?)?)
    }
}

impl Case for Sampling {
    fn run(&mut self) -> Result<(Vec<(&'static str, f64)>, f64)> {
        let start = Instant::now();
        let mut sampler = self.sampler.clone();
        let mut latents = (&self.noise * sampler.initial_scale())?;
        for (index, timestep) in self.sampler.timesteps().iter().enumerate() {
            let input = sampler.scale_input(&latents, index)?;
            latents = sampler.step(&self.predict(&input, *timestep)?, index, &latents)?;
        }
        let time = since(start);
        Ok((vec![("sampling", time)], spread(&latents)?))
    }
}

/// Root of the mean square: the number that both sides must agree on.
pub(crate) fn spread(tensor: &Tensor) -> Result<f64> {
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    let total: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
    Ok((total / values.len() as f64).sqrt())
}
