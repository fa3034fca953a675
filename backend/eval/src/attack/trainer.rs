//! The loop that all attacks share: draw a batch, add noise, predict, step. Refuses to know which family it trains.

use candle_core::Tensor;
use diffusion::{
    noise,
    optimizer::{AdamW, AdamWConfig, clip_gradients},
    schedule::NoiseSchedule,
    unet::{Conditions, UNet},
};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{objective::Objective, student::Student};
use crate::{Error, Result};

/// Images, each with its prompt.
#[derive(Clone, Debug)]
pub(super) struct ImageSet {
    /// `[n, c, h, w]`.
    pub(super) latents: Tensor,
    /// For each image the position of its prompt among [`Prompts`].
    pub(super) prompts: Vec<u32>,
}

/// The distinct prompts of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Prompts(Vec<String>);

impl Prompts {
    /// The position of a prompt, which joins the others where it is new.
    pub(super) fn position(&mut self, prompt: &str) -> u32 {
        let known = self.0.iter().position(|known| known == prompt);
        let position = known.unwrap_or_else(|| {
            self.0.push(prompt.to_owned());
            self.0.len() - 1
        });
        u32::try_from(position).expect("a run has few prompts")
    }
}

/// What one step is computed on.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// Rows of instance images; those of class images follow.
    pub(super) instances: usize,
    /// `[b, c, h, w]`.
    pub(super) latents: Tensor,
    /// Positions of the rows' prompts.
    pub(super) prompts: Vec<u32>,
    pub(super) timesteps: Vec<usize>,
    /// Standard normal, `[b, c, h, w]`.
    pub(super) noise: Tensor,
}

/// Settings of the loop.
pub(super) struct Settings {
    pub(super) learning_rate: f64,
    pub(super) batch_size: usize,
    /// Bound of the gradient's global norm.
    pub(super) max_gradient_norm: Option<f64>,
    pub(super) objective: Objective,
}

/// A student, its images, and the state of its training.
pub(super) struct Trainer {
    pub(super) student: Student,
    pub(super) instance: ImageSet,
    class: Option<ImageSet>,
    prompts: Prompts,
    /// Conditions of all prompts, where the text encoder does not train.
    frozen: Option<Conditions>,
    pub(super) schedule: NoiseSchedule,
    optimizer: AdamW,
    pub(super) settings: Settings,
    rng: ChaCha8Rng,
    pub(super) step: u32,
}

impl Trainer {
    pub(super) fn new(
        student: Student,
        (instance, class, prompts): (ImageSet, Option<ImageSet>, Prompts),
        settings: Settings,
        rng: ChaCha8Rng,
    ) -> Result<Self> {
        let frozen = if student.text_trains() {
            None
        } else {
            Some(frozen_conditions(&student, &prompts, settings.batch_size)?)
        };
        let optimizer = AdamWConfig {
            lr: settings.learning_rate,
            ..AdamWConfig::default()
        };
        Ok(Self {
            schedule: student.pipeline.noise_schedule()?,
            optimizer: AdamW::new(optimizer),
            student,
            instance,
            class,
            prompts,
            frozen,
            settings,
            rng,
            step: 0,
        })
    }

    /// One step on images, timesteps and noise of its own choice; gives the loss before it.
    pub(super) fn train_step(&mut self) -> Result<f32> {
        let batch = self.draw_batch()?;
        self.train_on(&batch)
    }

    fn draw_batch(&mut self) -> Result<Batch> {
        let size = self.settings.batch_size;
        let (mut latents, mut prompts) = pick(&self.instance, size, &mut self.rng)?;
        if let Some(class) = &self.class {
            let (class, more) = pick(class, size, &mut self.rng)?;
            latents = Tensor::cat(&[latents, class], 0)?;
            prompts.extend(more);
        }
        let range = &self.settings.objective.timesteps;
        let timesteps = (0..prompts.len()).map(|_| self.rng.random_range(range.clone()));
        let timesteps = timesteps.collect();
        let noise = noise::gaussian(&mut self.rng, latents.shape(), latents.device())?;
        Ok(Batch {
            instances: size,
            latents,
            prompts,
            timesteps,
            noise,
        })
    }

    /// One step on a given batch; gives the loss before it.
    pub(super) fn train_on(&mut self, batch: &Batch) -> Result<f32> {
        let conditions = self.conditions(&batch.prompts)?;
        let noised = (&batch.latents, &batch.noise, batch.timesteps.as_slice());
        let (prediction, target) =
            predict(&self.student.unet, &self.schedule, noised, &conditions)?;
        let instances = &batch.timesteps[..batch.instances];
        let objective = &self.settings.objective;
        let loss = objective.loss(&prediction, &target, &self.schedule, instances)?;
        let value = loss.to_scalar::<f32>()?;
        self.step += 1;
        if !value.is_finite() {
            return Err(Error::Diverged {
                step: self.step,
                value,
            });
        }
        let mut gradients = loss.backward()?;
        if let Some(bound) = self.settings.max_gradient_norm {
            clip_gradients(&self.student.parameters, &mut gradients, bound)?;
        }
        self.optimizer.step(&self.student.parameters, &gradients)?;
        Ok(value)
    }

    /// Conditions of the prompts at these positions; each prompt is read once.
    fn conditions(&self, positions: &[u32]) -> Result<Conditions> {
        if let Some(frozen) = &self.frozen {
            let positions = Tensor::new(positions, frozen.context.device())?;
            return Ok(frozen.select(&positions)?);
        }
        let mut read = Prompts::default();
        let text = |position: &u32| self.prompts.0[*position as usize].as_str();
        let rows: Vec<u32> = positions.iter().map(|at| read.position(text(at))).collect();
        let conditions = self.student.pipeline.encode_prompts(&read.0)?;
        let rows = Tensor::new(rows, conditions.context.device())?;
        Ok(conditions.select(&rows)?)
    }
}

/// What a model predicts for `(latents, noise, timesteps)`, `[b, c, h, w]` twice and `b`, and what it should.
pub(super) fn predict(
    unet: &UNet,
    schedule: &NoiseSchedule,
    (latents, noise, timesteps): (&Tensor, &Tensor, &[usize]),
    conditions: &Conditions,
) -> Result<(Tensor, Tensor)> {
    let noisy = schedule.add_noise(latents, noise, timesteps)?;
    let target = schedule.training_target(latents, noise, timesteps)?;
    let times: Vec<f32> = timesteps.iter().map(|timestep| *timestep as f32).collect();
    let times = Tensor::new(times, latents.device())?;
    Ok((unet.forward(&noisy, &times, conditions)?, target))
}

/// Conditions of all prompts, one row each.
///
/// Each is read as often as a batch holds it: products of other heights round otherwise, and earlier attacks read whole
/// batches.
fn frozen_conditions(student: &Student, prompts: &Prompts, batch: usize) -> Result<Conditions> {
    let repeated = prompts
        .0
        .iter()
        .flat_map(|prompt| std::iter::repeat_n(prompt, batch));
    let repeated: Vec<String> = repeated.cloned().collect();
    let conditions = student.pipeline.encode_prompts(&repeated)?.detach();
    let rows = (0..prompts.0.len()).map(|prompt| u32::try_from(prompt * batch));
    let rows: Vec<u32> = rows
        .collect::<Result<_, _>>()
        .expect("a run has few prompts");
    let rows = Tensor::new(rows, conditions.context.device())?;
    Ok(conditions.select(&rows)?)
}

/// Draws rows of a set, with repetitions: latents and positions of prompts.
fn pick(set: &ImageSet, count: usize, rng: &mut impl Rng) -> Result<(Tensor, Vec<u32>)> {
    let images = u32::try_from(set.prompts.len()).unwrap_or(u32::MAX);
    let rows: Vec<u32> = (0..count).map(|_| rng.random_range(0..images)).collect();
    let prompts = rows.iter().map(|row| set.prompts[*row as usize]).collect();
    let latents = set
        .latents
        .index_select(&Tensor::new(rows, set.latents.device())?, 0)?;
    Ok((latents, prompts))
}
