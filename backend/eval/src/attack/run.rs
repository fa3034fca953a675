//! A running attack. Refuses to judge what it draws.

use std::{ops::Range, path::Path, time::Instant};

use candle_core::Tensor;
use diffusion::{
    lora::Naming, pipeline::Pipeline, sample::SampleConfig, unet::UNet, weights::Weights,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use shared::attack::Family;

use super::{
    LossBank, Words, finetune,
    objective::Objective,
    preserve::{self, Tick},
    setup::Setup,
    student::Student,
    trainer::{ImageSet, Prompts, Settings, Trainer, predict},
};
use crate::{Error, Result, draw::draw_each};

/// Independent random streams of one seed.
const TRAINING_STREAM: u64 = 12;
const ADAPTER_STREAM: u64 = 13;

/// Bound of the gradient's global norm in diffusers' scripts; that of Textual Inversion has none.
pub(super) const MAX_GRADIENT_NORM: f64 = 1.0;

/// A running attack of any family.
pub struct Attack {
    pub(super) trainer: Trainer,
    words: Words,
    /// The clean base and its share in what is drawn from, with weight averaging.
    average: Option<(Pipeline, f64)>,
    step_seconds: Vec<f64>,
}

impl Attack {
    /// Prepares everything before the first step: clean fine-tuning, class images, fresh parameters.
    ///
    /// `tick` hears of every preparation's progress and may stop it.
    pub fn new(setup: Setup<'_>, tick: Tick<'_>) -> Result<Self> {
        setup.check()?;
        let Setup {
            recipe,
            words,
            pipeline,
            ..
        } = setup;
        let start = finetune::start_of(&setup, tick)?;
        let mut prompts = Prompts::default();
        let instance = ImageSet {
            latents: setup.instance.detach(),
            prompts: words
                .instance
                .iter()
                .map(|prompt| prompts.position(prompt))
                .collect(),
        };
        let mut class = None;
        if recipe.prior_preservation {
            let latents = preserve::class_of(&setup, &start, tick)?;
            let prompts = vec![prompts.position(&words.class); latents.dim(0)?];
            class = Some(ImageSet { latents, prompts });
        }
        let placeholder = words.placeholder.as_ref();
        let mut rng = stream(setup.seed, ADAPTER_STREAM);
        let student = Student::new(recipe.family, pipeline, &start, placeholder, &mut rng)?;
        let schedule = pipeline.noise_schedule()?;
        let settings = Settings {
            learning_rate: setup.learning_rate,
            batch_size: recipe.batch_size as usize,
            max_gradient_norm: match recipe.family {
                Family::TextualInversion => None,
                _ => Some(MAX_GRADIENT_NORM),
            },
            objective: Objective::of(recipe, &schedule, pipeline.latent_shape().0),
        };
        let rng = stream(setup.seed, TRAINING_STREAM);
        let share = recipe.adaptive.clean_average;
        Ok(Self {
            trainer: Trainer::new(student, (instance, class, prompts), settings, rng)?,
            words: words.clone(),
            average: (share > 0.0).then(|| (pipeline.clone(), share)),
            step_seconds: Vec::new(),
        })
    }

    /// The same attack without the bound of 1 that diffusers' scripts put on the gradient's global norm.
    ///
    /// The evaluation of a single cell trains so, and did when its numbers were measured. At demo size the bound touches
    /// 18 of the first 120 steps of the stock attack, whose norm is .66 on average and 1.44 at most.
    #[must_use]
    pub fn unclipped(mut self) -> Self {
        self.trainer.settings.max_gradient_norm = None;
        self
    }

    /// Steps done.
    pub fn step(&self) -> u32 {
        self.trainer.step
    }

    /// Seconds of each step done.
    pub fn step_seconds(&self) -> &[f64] {
        &self.step_seconds
    }

    /// The attacker's words; [`Words::drawing`] is the prompt of the judged pictures.
    pub fn words(&self) -> &Words {
        &self.words
    }

    /// Trains up to `step`; `tick` hears of every step and may stop between two.
    pub fn advance_to(&mut self, step: u32, tick: &mut dyn FnMut(u32) -> Result<()>) -> Result<()> {
        while self.trainer.step < step {
            tick(self.trainer.step)?;
            let start = Instant::now();
            self.trainer.train_step()?;
            self.step_seconds.push(start.elapsed().as_secs_f64());
        }
        Ok(())
    }

    /// Draws one picture for each prompt and seed with what the attacker has now.
    ///
    /// That is the attack's own text encoder, embeddings and adapter, and with weight averaging the averaged weights.
    /// `tick` hears of the pictures done and planned and may stop. Result: pixels `[n, 3, h, w]` in `[-1, 1]`; a
    /// model that fell apart gives [`Error::Diverged`], because its pictures would pass for resistance.
    pub fn draw(
        &self,
        prompts: &[String],
        seeds: &[u64],
        sampling: &SampleConfig,
        tick: &mut dyn FnMut(usize, usize) -> Result<()>,
    ) -> Result<Tensor> {
        let pixels = self.with_drawn(|pipeline, unet| {
            draw_each(pipeline, unet, (prompts, seeds), sampling, tick)
        })?;
        let value = pixels.abs()?.sum_all()?.to_scalar::<f32>()?;
        let step = self.step();
        if value.is_finite() {
            Ok(pixels)
        } else {
            Err(Error::Diverged { step, value })
        }
    }

    /// Mean squared error of every row of a bank under its image's instance prompt, with the weights that
    /// [`Attack::draw`] draws with.
    ///
    /// The error is that of training: of the noise, or of the velocity where the model predicts that. `tick` hears of
    /// the rows done and planned and may stop.
    pub fn loss_bank(
        &self,
        bank: &LossBank,
        rows_at_once: usize,
        tick: &mut dyn FnMut(usize, usize) -> Result<()>,
    ) -> Result<Vec<f32>> {
        let prompts = &self.words.instance;
        if let Some(image) = bank.images.iter().find(|image| **image >= prompts.len()) {
            return Err(Error::AttackInput {
                input: "loss bank",
                reason: format!("image {image} of {}", prompts.len()),
            });
        }
        self.with_drawn(|pipeline, unet| {
            let mut losses = Vec::with_capacity(bank.len());
            while losses.len() < bank.len() {
                tick(losses.len(), bank.len())?;
                let count = rows_at_once.clamp(1, bank.len() - losses.len());
                let rows = losses.len()..losses.len() + count;
                losses.extend(self.losses_of(bank, rows, pipeline, unet)?);
            }
            Ok(losses)
        })
    }

    /// Mean squared errors of some rows of a bank.
    fn losses_of(
        &self,
        bank: &LossBank,
        rows: Range<usize>,
        pipeline: &Pipeline,
        unet: &UNet,
    ) -> Result<Vec<f32>> {
        let (first, count) = (rows.start, rows.len());
        let images = bank.images[rows.clone()].iter();
        let prompts = images.map(|image| self.words.instance[*image].clone());
        let conditions = pipeline
            .encode_prompts(&prompts.collect::<Vec<_>>())?
            .detach();
        let [latents, noise] =
            [&bank.latents, &bank.noise].map(|rows| rows.narrow(0, first, count));
        let noised = (&latents?, &noise?, &bank.timesteps[rows]);
        let (prediction, target) = predict(unet, &self.trainer.schedule, noised, &conditions)?;
        let errors = (prediction.detach() - target)?
            .sqr()?
            .flatten_from(1)?
            .mean(1)?;
        Ok(errors.to_vec1()?)
    }

    /// A copy of the attacked U-Net's weights before any averaging; an adapter's corrections are added.
    pub fn unet_weights(&self) -> Result<Weights> {
        self.trainer.student.unet_weights()
    }

    /// A copy of what trained of each text encoder: all weights, the placeholder's rows, or nothing.
    pub fn text_weights(&self) -> Vec<Weights> {
        self.trainer.student.text_weights()
    }

    /// Saves the adapter of a LoRA attack in diffusers' or kohya's names; refuses other families.
    pub fn save_lora(&self, path: impl AsRef<Path>, naming: Naming) -> Result<()> {
        self.trainer.student.save_lora(path.as_ref(), naming)
    }

    /// Saves the placeholder's embedding as diffusers' `learned_embeds.safetensors`; refuses families without one.
    pub fn save_embedding(&self, path: impl AsRef<Path>) -> Result<()> {
        self.trainer.student.save_embedding(path.as_ref())
    }

    /// Runs `body` on the model that the attacker draws with.
    fn with_drawn<T>(&self, body: impl FnOnce(&Pipeline, &UNet) -> Result<T>) -> Result<T> {
        let student = &self.trainer.student;
        match &self.average {
            None => body(&student.pipeline, &student.unet),
            Some((clean, share)) => {
                let (pipeline, unet) = student.averaged(clean, *share)?;
                body(&pipeline, &unet)
            }
        }
    }
}

fn stream(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}
