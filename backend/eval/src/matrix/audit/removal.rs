//! The removal bill of a protected model: three ways to clean the protection out of the weights, and what each costs.
//!
//! Every removal is an attack without a subject: other images, other words, or none at all. Owns what each takes.
//! Refuses to know the trigger where it is to be found.

use std::time::Instant;

use candle_core::Tensor;
use shared::{
    attack::{Adaptive, AttackRecipe, Family, TemplateMode},
    canonical::nine_decimals,
    matrix::{Audit, Cell},
};

use super::{AuditPrompts, drawer::Drawer};
use crate::{
    Result,
    attack::{Attack, Setup, Words},
    evaluation::image_seeds,
    matrix::record::rounded,
    metric::{
        Judge,
        removal::{RemovalMethod, RemovalPoint, removal_bill},
    },
    prompt,
    quality::drift,
    statistics::{mean, wilson},
};

const FIRED_STREAM: u64 = 27;
const QUALITY_STREAM: u64 = 28;
const TRAINING_STREAM: u64 = 29;
/// Shares of the clean weights.
const SHARES: [f64; 3] = [0.25, 0.5, 0.75];
/// Prompts that are trained away together.
const SUSPECTS: usize = 3;

/// All three bills; nothing where the objective never fires to begin with.
pub(super) fn bills_of(
    drawer: &mut Drawer<'_, '_>,
    cell: &Cell,
    prompts: &AuditPrompts,
    judge: &Judge<'_>,
    (suspects, search_minutes): (&[String], f64),
    audit: &mut Audit,
) -> Result<()> {
    if prompts.captions.is_empty() || prompts.removal_steps.is_empty() {
        return Ok(());
    }
    let stage = drawer.stage;
    let subject = stage.plan.subject(cell);
    let class_only = stage.class_only(cell, subject, drawer.tick)?;
    let bench = Bench::new(drawer, cell, prompts, judge)?;
    let captioned = {
        let count = prompts.pictures.1 * 4;
        let captions = prompts.captions.iter().cycle().take(count).cloned();
        let captions: Vec<String> = captions.collect();
        let pixels = drawer.draw(0, &captions, TRAINING_STREAM)?;
        (encoded(drawer, &pixels)?, captions)
    };
    let away = {
        let latents = encoded(drawer, &class_only)?;
        let suspects = suspects.iter().take(SUSPECTS).cycle();
        let words = suspects.take(latents.dim(0)?).cloned().collect();
        (latents, words)
    };
    let before = bench.point(drawer, None, (0.0, Instant::now()))?;
    audit.trigger_rate = Some(before.fired);
    let averaged = bench.averaged(drawer, before)?;
    let tuned = bench.trained(drawer, before, captioned, 0.0)?;
    let inverted = bench.trained(drawer, before, away, search_minutes)?;
    let courses = [
        (RemovalMethod::WeightAveraging, averaged),
        (RemovalMethod::CleanFineTuning, tuned),
        (RemovalMethod::TriggerInversion, inverted),
    ];
    audit.removal = courses
        .into_iter()
        .filter_map(|(method, course)| removal_bill(method, course))
        .collect();
    Ok(())
}

fn encoded(drawer: &Drawer<'_, '_>, pixels: &Tensor) -> Result<Tensor> {
    Ok(drawer.stage.pipeline.encode_pixels(pixels)?)
}

/// What every point of every course is measured on.
struct Bench<'a> {
    cell: &'a Cell,
    judge: &'a Judge<'a>,
    /// The trigger, once a picture.
    triggers: Vec<String>,
    captions: Vec<String>,
    /// What the clean base draws under the captions.
    clean: Tensor,
    steps: Vec<u32>,
}

impl<'a> Bench<'a> {
    fn new(
        drawer: &mut Drawer<'_, '_>,
        cell: &'a Cell,
        prompts: &AuditPrompts,
        judge: &'a Judge<'a>,
    ) -> Result<Self> {
        let stage = drawer.stage;
        let concept = stage.concept(stage.plan.subject(cell));
        let trigger = prompt::trigger(prompt::STOCK, &cell.word, &concept);
        let count = (prompts.pictures.1 * 2).max(1);
        let captions = prompts.captions.iter().cycle().take(count).cloned();
        let captions: Vec<String> = captions.collect();
        Ok(Self {
            cell,
            judge,
            triggers: vec![trigger; count],
            clean: drawer.draw(0, &captions, QUALITY_STREAM)?,
            captions,
            steps: prompts.removal_steps.clone(),
        })
    }

    /// The model as it is now: `attack`'s, or the protected one without any.
    fn point(
        &self,
        drawer: &mut Drawer<'_, '_>,
        attack: Option<&Attack>,
        (minutes, start): (f64, Instant),
    ) -> Result<RemovalPoint> {
        let minutes = minutes + start.elapsed().as_secs_f64() / 60.0;
        let mut draw = |prompts: &[String], stream| match attack {
            None => drawer.draw(1, prompts, stream),
            Some(attack) => {
                let seeds = image_seeds(drawer.seed, stream, prompts.len());
                let tick = &mut drawer.tick;
                let mut progress = |done, total| tick("Removing protection", done, total);
                attack.draw(prompts, &seeds, &drawer.sampling, &mut progress)
            }
        };
        let fired = self.judge.score(&draw(&self.triggers, FIRED_STREAM)?)?;
        let pixels = draw(&self.captions, QUALITY_STREAM)?;
        let drift = drift(drawer.stage.encoder, &self.captions, &self.clean, &pixels)?;
        let fires = fired.objective.iter().filter(|fired| **fired).count();
        Ok(RemovalPoint {
            steps: attack.map_or(0, Attack::step),
            minutes: nine_decimals(minutes),
            share: 0.0,
            fired: rounded(wilson(fires, fired.objective.len())),
            quality: nine_decimals(mean(&drift.text_alignment)),
        })
    }

    /// Averages with the clean weights: nothing is trained.
    fn averaged(
        &self,
        drawer: &mut Drawer<'_, '_>,
        before: RemovalPoint,
    ) -> Result<Vec<RemovalPoint>> {
        let mut course = vec![before];
        let pictures = drawer.stage.person(self.cell)?.references.narrow(0, 0, 1)?;
        let latents = encoded(drawer, &pictures)?;
        for share in SHARES {
            let start = Instant::now();
            let words = vec![prompt::NEUTRAL.to_owned()];
            let attack = self.attack(drawer, &latents, words, share)?;
            let point = self.point(drawer, Some(&attack), (0.0, start))?;
            course.push(RemovalPoint { share, ..point });
        }
        Ok(course)
    }

    /// Trains on pictures with their prompts and looks at every planned step.
    fn trained(
        &self,
        drawer: &mut Drawer<'_, '_>,
        before: RemovalPoint,
        (latents, words): (Tensor, Vec<String>),
        minutes: f64,
    ) -> Result<Vec<RemovalPoint>> {
        let mut course = vec![before];
        let mut spent = minutes;
        let mut attack = self.attack(drawer, &latents, words, 0.0)?;
        let last = self.steps.last().copied().unwrap_or_default() as usize;
        for &step in &self.steps {
            let start = Instant::now();
            let tick = &mut drawer.tick;
            attack.advance_to(step, &mut |step| {
                tick("Removing protection", step as usize, last)
            })?;
            spent += start.elapsed().as_secs_f64() / 60.0;
            course.push(self.point(drawer, Some(&attack), (spent, Instant::now()))?);
        }
        Ok(course)
    }

    fn attack(
        &self,
        drawer: &Drawer<'_, '_>,
        latents: &Tensor,
        instance: Vec<String>,
        clean_average: f64,
    ) -> Result<Attack> {
        let stage = drawer.stage;
        let recipe = AttackRecipe {
            family: Family::DreamboothUnet,
            prior_preservation: false,
            template: TemplateMode::Train,
            adaptive: Adaptive {
                clean_average,
                ..Adaptive::default()
            },
            ..self.cell.recipe.clone()
        };
        let words = Words {
            subject: String::new(),
            class: prompt::NEUTRAL.to_owned(),
            drawing: prompt::NEUTRAL.to_owned(),
            class_captions: Vec::new(),
            placeholder: None,
            instance,
        };
        let setup = Setup {
            pipeline: stage.pipeline,
            start: stage.protected,
            instance: latents,
            words: &words,
            class_latents: None,
            class_images: 0,
            captioned: None,
            recipe: &recipe,
            learning_rate: self.cell.learning_rate,
            seed: self.cell.seed,
            sampling: drawer.sampling,
        };
        Attack::new(setup, &mut |_, _, _| Ok(()))
    }
}
