//! How fast this machine trains, measured on a small pass of the same model.

use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Models, Setup, Trained, plan};
use crate::{
    Result,
    checkpoint::Checkpoints,
    noise,
    optimizer::{AdamW, AdamWConfig},
    unet::{AddedConditions, Conditions, UNet},
    weights::Parameters,
};

/// Steps that are timed, after one that warms caches. The fastest counts: what else a machine does
/// only slows a step.
const STEPS: usize = 7;

/// Speed of training one model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Multiply-adds a second, over forward and backward pass.
    pub products_per_second: f64,
    /// Seconds of both passes that do not depend on the rows: work on weights alone.
    pub fixed_seconds: f64,
    /// Values a second that the optimiser updates.
    pub updates_per_second: f64,
}

impl Rate {
    /// Seconds of a planned step.
    pub fn seconds(&self, planned: &super::Plan) -> f64 {
        let updates = planned.trained_values as f64 / self.updates_per_second;
        planned.products / self.products_per_second + self.fixed_seconds + updates
    }

    /// Trains fresh weights of the same denoiser for a few steps under `setup` and under half of its
    /// height, in turns.
    ///
    /// `setup` should have the planned number of rows: work on weights is done once for each of a
    /// few parts of the batch, and threads share those parts, so that time rises with the height in
    /// a line but with the rows in stairs. Everything is trained.
    pub fn measure(models: &Models, setup: &Setup, seed: u64, device: &Device) -> Result<Self> {
        let whole = Setup {
            trained: Trained::All,
            ..*setup
        };
        let half = half(&whole);
        let mut trials = [
            Trial::new(models, &whole, seed, device)?,
            Trial::new(models, &half, seed, device)?,
        ];
        let mut passes = [Vec::new(), Vec::new()];
        let mut updates = Vec::new();
        for _ in 0..=STEPS {
            for (trial, passes) in trials.iter_mut().zip(&mut passes) {
                let (pass, update) = trial.step()?;
                passes.push(pass);
                updates.push(update);
            }
        }
        let planned = plan(models, &whole)?;
        let [seconds, less] = passes.map(fastest);
        let difference = planned.products - plan(models, &half)?.products;
        let rate = difference / (seconds - less);
        // Noise may make the smaller pass the slower one; then all time counts as products.
        let sound = rate.is_finite() && rate > 0.0 && planned.products / rate <= seconds;
        let products_per_second = if sound {
            rate
        } else {
            planned.products / seconds
        };
        Ok(Self {
            products_per_second,
            fixed_seconds: seconds - planned.products / products_per_second,
            updates_per_second: planned.trained_values as f64 / fastest(updates),
        })
    }
}

/// Half of the height, or of the rows where the height is 1.
fn half(setup: &Setup) -> Setup {
    let (height, width) = setup.latent;
    if height > 1 {
        Setup {
            latent: (height.div_ceil(2), width),
            ..*setup
        }
    } else {
        Setup {
            batch: setup.batch.div_ceil(2),
            ..*setup
        }
    }
}

/// Training of fresh weights on noise, for its time and memory alone.
pub struct Trial {
    setup: Setup,
    unet: UNet,
    parameters: Parameters,
    optimizer: AdamW,
    latents: Tensor,
    target: Tensor,
    timesteps: Tensor,
    conditions: Conditions,
}

impl Trial {
    /// Draws weights and inputs.
    pub fn new(models: &Models, setup: &Setup, seed: u64, device: &Device) -> Result<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let config = &models.unet;
        let fresh = config.initialize(&mut rng)?.to_device(device)?;
        let parameters = Parameters::from_weights(&fresh)?;
        let unet = UNet::new(config.clone(), &parameters.weights())?;
        let (batch, (height, width)) = (setup.batch, setup.latent);
        let mut normal = |shape: &[usize]| -> Result<Tensor> {
            let noise = noise::gaussian(&mut rng, shape, device)?;
            Ok(noise.to_dtype(setup.compute)?)
        };
        let mut conditions =
            Conditions::from(normal(&[batch, setup.tokens, config.cross_attention_dim])?);
        if let Some(channels) = config.added_channels() {
            let sizes = 6 * config.addition_time_embed_dim.unwrap_or(0);
            conditions.added = Some(AddedConditions {
                pooled: normal(&[batch, channels.saturating_sub(sizes)])?,
                time_ids: normal(&[batch, 6])?.to_dtype(DType::F32)?,
            });
        }
        Ok(Self {
            setup: *setup,
            unet,
            parameters,
            optimizer: AdamW::new(AdamWConfig {
                moments: setup.moments,
                ..AdamWConfig::default()
            }),
            latents: normal(&[batch, config.in_channels, height, width])?,
            target: normal(&[batch, config.out_channels, height, width])?,
            timesteps: normal(&[batch])?.to_dtype(DType::F32)?,
            conditions,
        })
    }

    /// One step; gives the seconds of both passes and those of the optimiser.
    pub fn step(&mut self) -> Result<(f64, f64)> {
        let start = Instant::now();
        let checkpoints = Checkpoints::new(self.latents.device())?;
        let (latents, conditions) = (&self.latents, &self.conditions);
        let prediction = if self.setup.checkpointing {
            let unet = &self.unet;
            unet.forward_checkpointed(latents, &self.timesteps, conditions, &checkpoints)?
        } else {
            self.unet.forward(latents, &self.timesteps, conditions)?
        };
        let error = (prediction - &self.target)?.to_dtype(DType::F32)?;
        let gradients = checkpoints.backward(&error.sqr()?.mean_all()?)?;
        // Devices work on after a call returns.
        self.latents.device().synchronize()?;
        let passes = start.elapsed().as_secs_f64();
        let start = Instant::now();
        self.optimizer.step(&self.parameters, &gradients)?;
        self.latents.device().synchronize()?;
        Ok((passes, start.elapsed().as_secs_f64()))
    }
}

/// Least of all but the first.
fn fastest(times: Vec<f64>) -> f64 {
    times.into_iter().skip(1).fold(f64::INFINITY, f64::min)
}
