//! DreamBooth with prior preservation (Ruiz et al., arXiv 2208.12242), U-Net only.
//!
//! Owns the attack from any start weights. Refuses to know whose they are: clean and protected
//! weights get the same images, the same prompts and the same noise.

use std::time::Instant;

use candle_core::Tensor;
use diffusion::{
    noise,
    optimizer::{AdamW, AdamWConfig},
    pipeline::Pipeline,
    sample::SampleConfig,
    schedule::NoiseSchedule,
    unet::{Conditions, UNet},
    weights::{Parameters, Weights},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Error, Result, draw::draw};

/// Independent random streams of one seed.
const CLASS_STREAM: u64 = 11;
const TRAINING_STREAM: u64 = 12;

/// What the attacker decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// `c_trig`, the prompt that the attacker trains with.
    pub prompt: String,
    /// `c_cls`, the prompt of prior preservation.
    pub class_prompt: String,
    /// Learning rate of `AdamW`.
    pub learning_rate: f64,
    /// Instance images a step, and as many class images.
    pub batch_size: usize,
    /// Weight of prior preservation; 1 in the paper on `DreamBooth`.
    pub prior_weight: f64,
    /// Class images, drawn by the attacked model itself before training.
    pub class_images: usize,
    /// How they are drawn.
    pub sampling: SampleConfig,
    /// Seed of every random draw.
    pub seed: u64,
}

/// A running attack.
pub struct Attack {
    student: UNet,
    parameters: Parameters,
    optimizer: AdamW,
    schedule: NoiseSchedule,
    instance: Tensor,
    class: Tensor,
    /// Embedded `c_trig` and `c_cls`, a batch of each.
    conditions: Conditions,
    rng: ChaCha8Rng,
    recipe: Recipe,
    step: u32,
    step_seconds: Vec<f64>,
}

impl Attack {
    /// Draws the class images with the attacked model and sets everything up.
    ///
    /// `start`: U-Net weights, left untouched. `instance`: latents of the attacker's images,
    /// `[n, c, h, w]`. `tick` hears of every image drawn.
    pub fn new(
        pipeline: &Pipeline,
        start: &Weights,
        instance: &Tensor,
        recipe: Recipe,
        tick: &mut dyn FnMut(usize, usize) -> Result<()>,
    ) -> Result<Self> {
        let parameters = Parameters::from_weights(start)?;
        let student = UNet::new(pipeline.unet_config.clone(), &parameters.weights())?;
        let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed);
        rng.set_stream(CLASS_STREAM);
        let seeds: Vec<u64> = (0..recipe.class_images).map(|_| rng.random()).collect();
        let prompt = recipe.class_prompt.as_str();
        let class = draw(pipeline, &student, prompt, &seeds, &recipe.sampling, tick)?;
        let mut prompts = vec![recipe.prompt.clone(); recipe.batch_size];
        prompts.resize(2 * recipe.batch_size, recipe.class_prompt.clone());
        let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed);
        rng.set_stream(TRAINING_STREAM);
        let config = AdamWConfig {
            lr: recipe.learning_rate,
            ..AdamWConfig::default()
        };
        Ok(Self {
            student,
            optimizer: AdamW::new(config),
            parameters,
            schedule: pipeline.noise_schedule()?,
            instance: instance.clone(),
            class: pipeline.autoencoder.encode(&class)?.detach(),
            conditions: pipeline.encode_prompts(&prompts)?.detach(),
            rng,
            recipe,
            step: 0,
            step_seconds: Vec::new(),
        })
    }

    /// The attacked model as it is now.
    pub fn student(&self) -> &UNet {
        &self.student
    }

    /// Steps done.
    pub fn step(&self) -> u32 {
        self.step
    }

    /// Seconds of each step done.
    pub fn step_seconds(&self) -> &[f64] {
        &self.step_seconds
    }

    /// A copy of the attacked weights.
    pub fn weights(&self) -> Weights {
        self.parameters.snapshot()
    }

    /// Trains up to `step`; `tick` hears of every step and may stop between two.
    pub fn advance_to(&mut self, step: u32, tick: &mut dyn FnMut(u32) -> Result<()>) -> Result<()> {
        while self.step < step {
            tick(self.step)?;
            let start = Instant::now();
            self.train_step()?;
            self.step_seconds.push(start.elapsed().as_secs_f64());
        }
        Ok(())
    }

    /// One step on Eq. 4:
    /// `E || eps - eps_theta(z_t^ref, t, c_trig) ||^2 + lambda E || eps' - eps_theta(z_t'^cls, t', c_cls) ||^2`.
    ///
    /// Gives the loss before the step. Gradient flows to: every parameter of the U-Net.
    fn train_step(&mut self) -> Result<f32> {
        let batch = self.recipe.batch_size;
        let clean = Tensor::cat(
            &[
                pick(&self.instance, batch, &mut self.rng)?,
                pick(&self.class, batch, &mut self.rng)?,
            ],
            0,
        )?;
        let total = self.schedule.alphas_cumprod().len();
        let timesteps: Vec<usize> = (0..2 * batch)
            .map(|_| self.rng.random_range(0..total))
            .collect();
        let noise = noise::gaussian(&mut self.rng, clean.shape(), clean.device())?;
        let noisy = self.schedule.add_noise(&clean, &noise, &timesteps)?;
        let expected = self.schedule.training_target(&clean, &noise, &timesteps)?;
        let times: Vec<f32> = timesteps.iter().map(|timestep| *timestep as f32).collect();
        let times = Tensor::new(times, clean.device())?;
        let prediction = self.student.forward(&noisy, &times, &self.conditions)?;
        let loss = equation_4(&prediction, &expected, self.recipe.prior_weight)?;
        let value = loss.to_scalar::<f32>()?;
        self.step += 1;
        if !value.is_finite() {
            return Err(Error::Diverged {
                step: self.step,
                value,
            });
        }
        self.optimizer.step(&self.parameters, &loss.backward()?)?;
        Ok(value)
    }
}

/// Mean squared error of the first half of the rows plus `prior_weight` times that of the second.
fn equation_4(prediction: &Tensor, expected: &Tensor, prior_weight: f64) -> Result<Tensor> {
    let half = prediction.dim(0)? / 2;
    let errors = (prediction - expected)?.sqr()?;
    let instance = errors.narrow(0, 0, half)?.mean_all()?;
    let class = errors.narrow(0, half, half)?.mean_all()?;
    Ok((instance + (class * prior_weight)?)?)
}

fn pick(latents: &Tensor, batch: usize, rng: &mut impl Rng) -> Result<Tensor> {
    let count = u32::try_from(latents.dim(0)?).unwrap_or(u32::MAX);
    let rows: Vec<u32> = (0..batch).map(|_| rng.random_range(0..count)).collect();
    Ok(latents.index_select(&Tensor::new(rows, latents.device())?, 0)?)
}

#[cfg(test)]
mod tests;
