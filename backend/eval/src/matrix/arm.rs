//! One arm of a cell: a model, attacked as its recipe says, with pictures at every checkpoint.
//!
//! Owns nothing of the other arm, so that a finished one can be kept and the other run alone.

use std::time::Instant;

use candle_core::Tensor;
use diffusion::{sample::SampleConfig, schedule::SamplerKind, weights::Weights};
use shared::{
    SetId,
    attack::TemplateMode,
    job::{Action, Concept},
    matrix::{Cell, MatrixSettings, MatrixSubject},
};

use super::{
    cell::{Stage, Tick},
    record::ArmRecord,
    sets::Purpose,
};
use crate::{
    Error, EvaluateOptions, Result,
    attack::{
        Attack, Preparation, Setup, Words, caption, class_latents,
        images::{Extra, instance},
        prompt::{self, Pools},
    },
    evaluation::image_seeds,
    gallery::Arm,
    statistics::quantile,
};

/// Random stream of a cell's seed: pictures that are judged.
const GALLERY_STREAM: u64 = 22;

/// Pictures by step with what was measured on the way; the record has no scores yet.
pub(super) struct Drawn {
    pub(super) checkpoints: Vec<(u32, Tensor)>,
    pub(super) record: ArmRecord,
}

impl Drawn {
    fn diverged(step: u32) -> Self {
        let record = ArmRecord {
            diverged: Some(step),
            ..ArmRecord::default()
        };
        Self {
            checkpoints: Vec::new(),
            record,
        }
    }
}

fn is_finite(latents: Option<&Tensor>) -> Result<bool> {
    let sum = latents.map(|latents| latents.abs()?.sum_all()?.to_scalar::<f32>());
    Ok(sum.transpose()?.is_none_or(f32::is_finite))
}

/// What cells share where nothing else is asked for: what a single evaluation draws, with this many judged pictures.
pub fn settings(pictures: u32) -> MatrixSettings {
    let options = EvaluateOptions::default();
    let count = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    MatrixSettings {
        pictures,
        class_pictures: count(options.class_images),
        threshold_pictures: count(options.threshold_images),
        sampling_steps: count(options.sampling.steps),
        guidance_scale: options.sampling.guidance_scale,
        sampler: "dpm_solver".to_owned(),
    }
}

/// How pictures and class sets are drawn.
pub(super) fn sampling(settings: &MatrixSettings) -> Result<SampleConfig> {
    let sampler = match settings.sampler.as_str() {
        "ddim" => SamplerKind::Ddim,
        "dpm_solver" => SamplerKind::DpmSolver,
        other => {
            return Err(Error::InvalidSpec {
                pointer: "#/settings/sampler".into(),
                message: format!("there is no sampler `{other}`; use ddim or dpm_solver"),
            });
        }
    };
    Ok(SampleConfig {
        steps: settings.sampling_steps as usize,
        guidance_scale: settings.guidance_scale,
        sampler,
        ..SampleConfig::default()
    })
}

/// Attacks a model and draws at every checkpoint; one that falls apart on the way keeps what came before.
pub(super) fn attack(stage: &Stage<'_>, cell: &Cell, arm: Arm, tick: Tick<'_>) -> Result<Drawn> {
    let settings = &stage.plan.settings;
    let start = match arm {
        Arm::Clean => &stage.pipeline.unet_weights,
        Arm::Protected => stage.protected,
    };
    let sampling = sampling(settings)?;
    let images = stage.images(cell)?;
    let latents = stage.pipeline.encode_pixels(&images)?;
    let words = stage.words(cell, &images)?;
    let class = stage.class_latents(cell, (arm, start), &words.class, &sampling, tick)?;
    if !is_finite(class.as_ref())? {
        // A model that draws no numbers fell apart before the attack began.
        return Ok(Drawn::diverged(0));
    }
    let setup = Setup {
        pipeline: stage.pipeline,
        start,
        instance: &latents,
        words: &words,
        class_latents: class.as_ref(),
        class_images: settings.class_pictures as usize,
        captioned: None,
        recipe: &cell.recipe,
        learning_rate: cell.learning_rate,
        seed: cell.seed,
        sampling,
    };
    let preparing = format!("Preparing the attack on the {} model", name(arm));
    let mut prepare = |_: Preparation, done, total| tick(&preparing, done, total);
    let attack = Attack::new(setup, &mut prepare)?;
    let seeds = image_seeds(cell.seed, GALLERY_STREAM, settings.pictures as usize);
    Checkpoints {
        cell,
        arm,
        words: &words,
        seeds,
        sampling,
    }
    .draw(attack, tick)
}

/// An attack on the clean base whose class set is the instance images: for measuring time, not for results.
pub(super) fn probe(stage: &Stage<'_>, cell: &Cell) -> Result<Attack> {
    let images = stage.images(cell)?;
    let latents = stage.pipeline.encode_pixels(&images)?;
    let setup = Setup {
        pipeline: stage.pipeline,
        start: &stage.pipeline.unet_weights,
        instance: &latents,
        words: &stage.words(cell, &images)?,
        class_latents: Some(&latents),
        class_images: 1,
        captioned: None,
        recipe: &cell.recipe,
        learning_rate: cell.learning_rate,
        seed: cell.seed,
        sampling: sampling(&stage.plan.settings)?,
    };
    Attack::new(setup, &mut |_, _, _| Ok(()))
}

const fn name(arm: Arm) -> &'static str {
    match arm {
        Arm::Clean => "unprotected",
        Arm::Protected => "protected",
    }
}

/// What is drawn at every checkpoint.
struct Checkpoints<'a> {
    cell: &'a Cell,
    arm: Arm,
    words: &'a Words,
    seeds: Vec<u64>,
    sampling: SampleConfig,
}

impl Checkpoints<'_> {
    fn draw(&self, mut attack: Attack, tick: Tick<'_>) -> Result<Drawn> {
        let mut drawn = Drawn {
            checkpoints: Vec::new(),
            record: ArmRecord::default(),
        };
        let mut seconds = Vec::new();
        for &checkpoint in &self.cell.recipe.checkpoints {
            match self.one(&mut attack, checkpoint, tick) {
                Ok((pixels, picture_seconds)) => {
                    seconds.push(picture_seconds);
                    drawn.checkpoints.push((checkpoint, pixels));
                }
                // Pictures of a model that fell apart would pass for resistance: it is said instead.
                Err(Error::Diverged { step, .. }) => {
                    drawn.record.diverged = Some(step);
                    break;
                }
                Err(other) => return Err(other),
            }
        }
        let median = |seconds: &[f64]| 1000.0 * quantile(seconds, 0.5).unwrap_or_default();
        drawn.record.milliseconds_per_step = median(attack.step_seconds());
        drawn.record.milliseconds_per_picture = median(&seconds);
        Ok(drawn)
    }

    /// Pictures of one checkpoint and the seconds that each took.
    fn one(&self, attack: &mut Attack, checkpoint: u32, tick: Tick<'_>) -> Result<(Tensor, f64)> {
        let model = name(self.arm);
        let total = self
            .cell
            .recipe
            .checkpoints
            .last()
            .copied()
            .unwrap_or_default() as usize;
        let attacking = format!("Attacking the {model} model");
        attack.advance_to(checkpoint, &mut |step| {
            tick(&attacking, step as usize, total)
        })?;
        let start = Instant::now();
        let prompts = vec![self.words.drawing.clone(); self.seeds.len()];
        let drawing = format!("Drawing from the {model} model");
        let mut progress = |done, total| tick(&drawing, done, total);
        let pixels = attack.draw(&prompts, &self.seeds, &self.sampling, &mut progress)?;
        Ok((
            pixels,
            start.elapsed().as_secs_f64() / self.seeds.len().max(1) as f64,
        ))
    }
}

impl Stage<'_> {
    /// The attacker's images, `[n, 3, h, w]` in `[-1, 1]`.
    fn images(&self, cell: &Cell) -> Result<Tensor> {
        let person = self.person(cell)?;
        let extra = Extra {
            unseen: person.unseen.as_ref(),
            others: person.others.as_ref(),
        };
        instance(cell.recipe.images, &person.references, extra)
    }

    fn words(&self, cell: &Cell, images: &Tensor) -> Result<Words> {
        let concept = self.concept(self.plan.subject(cell));
        let texts = &self.plan.inputs.texts;
        let pools = Pools {
            image_captions: match cell.recipe.template {
                TemplateMode::Caption => {
                    caption::of_images(self.encoder, &self.pipeline.tokenizer, &concept, images)?
                }
                TemplateMode::Train | TemplateMode::HeldOut => Vec::new(),
            },
            templates: texts.templates.clone(),
            held_out_templates: texts.held_out_templates.clone(),
            captions: texts.captions.clone(),
            ..Pools::default()
        };
        prompt::words(&cell.recipe, &concept, &cell.word, &pools, images.dim(0)?)
    }

    /// A subject as a job would name it.
    pub(super) fn concept(&self, subject: &MatrixSubject) -> Concept {
        Concept {
            protected_set_id: SetId::nil(),
            subject: subject.kind,
            class_name: subject.class_name.clone(),
            identifier: String::new(),
            objective: self.plan.inputs.objective.clone(),
            action: Action::Protect,
        }
    }

    /// The class set of prior preservation, shared by cells; `None` where the attack needs none or draws its own, from
    /// weights that it changed before.
    fn class_latents(
        &self,
        cell: &Cell,
        (arm, start): (Arm, &Weights),
        class_prompt: &str,
        sampling: &SampleConfig,
        tick: Tick<'_>,
    ) -> Result<Option<Tensor>> {
        if !cell.recipe.prior_preservation || cell.recipe.adaptive.clean_finetuning_steps > 0 {
            return Ok(None);
        }
        let count = self.plan.settings.class_pictures as usize;
        let preparing = format!("Drawing the class with the {} model", name(arm));
        let draw = || {
            let mut progress = |done, total| tick(&preparing, done, total);
            class_latents(
                self.pipeline,
                start,
                (class_prompt, count),
                cell.seed,
                sampling,
                &mut progress,
            )
        };
        self.sets
            .get(class_prompt, arm, (Purpose::Prior, cell.seed), draw)
            .map(Some)
    }
}
