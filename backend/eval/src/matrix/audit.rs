//! What a protected model costs and gives away without any attack: twins of the same prompt and seed on both models.
//!
//! Owns prompts and seeds of the audit. Refuses to run inside a cell: it is the same for all of them.

use candle_core::Tensor;
use diffusion::{sample::SampleConfig, unet::UNet};
use shared::{
    evaluation::Estimate,
    matrix::{Audit, Cell},
};

use super::{
    arm,
    cell::{Stage, Tick},
    record::rounded,
};
use crate::{
    Result,
    draw::draw_each,
    evaluation::image_seeds,
    metric::Judge,
    prompt,
    quality::drift,
    statistics::{bootstrap_mean, wilson},
};

/// Random streams of the headline's seed.
const TWIN_STREAM: u64 = 23;
const PROBE_STREAM: u64 = 24;

/// Prompts that have nothing to do with the subject, and what probes the trigger's parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPrompts {
    /// Captions of the domain; each is drawn once on both models.
    pub captions: Vec<String>,
    /// Class words that are neither the subject's nor the target's.
    pub other_classes: Vec<String>,
    /// Identifiers: the concept's own, and others.
    pub identifiers: Vec<String>,
    /// Pictures of each probe.
    pub pictures: usize,
}

/// Draws on both models and compares.
///
/// Specificity is the share of twins on which the objective fires on the protected model and not on the clean one, under
/// the class alone, identifiers alone, and identifiers with another class (EVALUATION, metrics).
pub fn audit(
    stage: &Stage<'_>,
    cell: &Cell,
    prompts: &AuditPrompts,
    tick: Tick<'_>,
) -> Result<Audit> {
    let models = [
        stage.pipeline.unet()?,
        UNet::new(stage.pipeline.unet_config.clone(), stage.protected)?,
    ];
    let sampling = arm::sampling(&stage.plan.settings)?;
    let mut twins = |prompts: &[String], stream: u64| -> Result<[Tensor; 2]> {
        let seeds = image_seeds(cell.seed, stream, prompts.len());
        let mut drawer = Drawer {
            stage,
            sampling: &sampling,
            seeds: &seeds,
            tick: &mut *tick,
        };
        Ok([
            drawer.draw(&models[0], prompts)?,
            drawer.draw(&models[1], prompts)?,
        ])
    };
    let mut audit = Audit::default();
    if !prompts.captions.is_empty() {
        let [clean, protected] = twins(&prompts.captions, TWIN_STREAM)?;
        let drift = drift(
            stage.pipeline,
            stage.encoder,
            &prompts.captions,
            &clean,
            &protected,
        )?;
        audit.text_alignment = Some(rounded(bootstrap_mean(&drift.text_alignment, cell.seed)));
        audit.distance = Some(rounded(bootstrap_mean(&drift.distance, cell.seed)));
    }
    let probes = probes(stage, cell, prompts);
    if !probes.is_empty() {
        let [clean, protected] = twins(&probes, PROBE_STREAM)?;
        let class_only = stage.class_only(cell, stage.plan.subject(cell), tick)?;
        let judge = stage.judge(stage.plan.subject(cell), stage.person(cell)?, &class_only)?;
        let (own, clean) = specificity(&judge, &clean, &protected)?;
        (audit.specificity, audit.specificity_clean) = (Some(own), Some(clean));
    }
    Ok(audit)
}

/// Every kind of probe as often as the others.
fn probes(stage: &Stage<'_>, cell: &Cell, prompts: &AuditPrompts) -> Vec<String> {
    let subject = stage.plan.subject(cell);
    let class = prompt::class(&subject.class_name);
    let words = prompts.identifiers.iter().cycle();
    let alone = words
        .clone()
        .map(|word| format!("{} {word}", prompt::STOCK));
    let other = words.zip(prompts.other_classes.iter().cycle());
    let other = other.map(|(word, class)| format!("{} {word} {class}", prompt::STOCK));
    let kinds = std::iter::repeat_n(class, prompts.pictures);
    kinds
        .chain(alone.take(prompts.pictures))
        .chain(other.take(prompts.pictures))
        .collect()
}

/// Shares of twins: fires on the protected model alone, and fires on the clean one.
fn specificity(
    judge: &Judge<'_>,
    clean: &Tensor,
    protected: &Tensor,
) -> Result<(Estimate, Estimate)> {
    let (clean, protected) = (
        judge.score(clean)?.objective,
        judge.score(protected)?.objective,
    );
    let own = clean
        .iter()
        .zip(&protected)
        .filter(|(clean, protected)| !**clean && **protected)
        .count();
    let chance = clean.iter().filter(|clean| **clean).count();
    Ok((
        rounded(wilson(own, clean.len())),
        rounded(wilson(chance, clean.len())),
    ))
}

/// Draws a few pictures at a time, which bounds memory.
struct Drawer<'a, 't> {
    stage: &'a Stage<'a>,
    sampling: &'a SampleConfig,
    seeds: &'a [u64],
    tick: Tick<'t>,
}

impl Drawer<'_, '_> {
    const AT_ONCE: usize = 16;

    fn draw(&mut self, unet: &UNet, prompts: &[String]) -> Result<Tensor> {
        let mut drawn = Vec::new();
        for (prompts, seeds) in prompts
            .chunks(Self::AT_ONCE)
            .zip(self.seeds.chunks(Self::AT_ONCE))
        {
            let mut progress = |done, total| (self.tick)("Drawing twins", done, total);
            drawn.push(draw_each(
                self.stage.pipeline,
                unet,
                (prompts, seeds),
                self.sampling,
                &mut progress,
            )?);
        }
        Ok(Tensor::cat(&drawn, 0)?)
    }
}
