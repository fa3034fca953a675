//! What a protected model costs and gives away without any attack: twins of the same prompt and seed on both models.
//!
//! Owns prompts and seeds of the audit. Refuses to run inside a cell: it is the same for all of them.

use candle_core::Tensor;
use diffusion::{sample::SampleConfig, unet::UNet};
use shared::{
    canonical::nine_decimals,
    matrix::{Audit, Cell, Plan, Tier},
};

use super::{
    arm,
    cell::{Stage, Tick},
    record::rounded,
};
use crate::{
    Error, Result,
    draw::draw_each,
    evaluation::image_seeds,
    metric::{
        fitted,
        leak::{LeakCase, leak_audit},
        specificity::{Probe, ProbePrompt, Twin, probes, specificity},
    },
    prompt,
    quality::drift,
    statistics::bootstrap_mean,
};

/// Random streams of the headline's seed.
const TWIN_STREAM: u64 = 23;
const PROBE_STREAM: u64 = 24;
const LEAK_STREAM: u64 = 25;

/// Prompts that have nothing to do with the subject, and what probes the trigger's parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPrompts {
    /// Captions of the domain; each is drawn once on both models.
    pub captions: Vec<String>,
    /// Class words that are neither the subject's nor the target's.
    pub other_classes: Vec<String>,
    /// Identifiers: the concept's own first, then others of the pool.
    pub identifiers: Vec<String>,
    /// Pictures of each kind of probe, and of each prompt of the leak audit.
    pub pictures: (usize, usize),
    /// Whether the model was trained in mode `trajectory`.
    pub looks_ahead: bool,
}

impl AuditPrompts {
    /// What a tier is audited by. The smoke tier draws too few pictures for the gate on specificity: it stays not
    /// measured.
    ///
    /// `other_classes`: neither the subject's nor the target's. `identifiers`: the concept's own first.
    pub fn of_tier(
        plan: &Plan,
        other_classes: Vec<String>,
        mut identifiers: Vec<String>,
        looks_ahead: bool,
    ) -> Self {
        let is_smoke = plan.tier == Tier::Smoke;
        identifiers.truncate(if is_smoke { 3 } else { usize::MAX });
        Self {
            captions: plan.inputs.texts.captions.clone(),
            other_classes,
            identifiers,
            pictures: if is_smoke { (16, 5) } else { (100, 8) },
            looks_ahead,
        }
    }
}

/// Draws on both models and compares: drift over captions, specificity over probes, and the leak audit over triggers
/// (EVALUATION, metrics).
pub fn audit(
    stage: &Stage<'_>,
    cell: &Cell,
    prompts: &AuditPrompts,
    tick: Tick<'_>,
) -> Result<Audit> {
    let mut drawer = Drawer {
        stage,
        sampling: arm::sampling(&stage.plan.settings)?,
        seed: cell.seed,
        models: [
            stage.pipeline.unet()?,
            UNet::new(stage.pipeline.unet_config.clone(), stage.protected)?,
        ],
        tick,
    };
    let mut audit = Audit {
        looks_ahead: prompts.looks_ahead,
        ..Audit::default()
    };
    drift_of(&mut drawer, &prompts.captions, &mut audit)?;
    specificity_of(&mut drawer, cell, prompts, &mut audit)?;
    leak_of(&mut drawer, cell, prompts, &mut audit)?;
    Ok(audit)
}

fn drift_of(drawer: &mut Drawer<'_, '_>, captions: &[String], audit: &mut Audit) -> Result<()> {
    if captions.is_empty() {
        return Ok(());
    }
    let [clean, protected] = drawer.twins(captions, TWIN_STREAM)?;
    let (pipeline, encoder) = (drawer.stage.pipeline, drawer.stage.encoder);
    let drift = drift(pipeline, encoder, captions, &clean, &protected)?;
    audit.text_alignment = Some(rounded(bootstrap_mean(&drift.text_alignment, drawer.seed)));
    audit.distance = Some(rounded(bootstrap_mean(&drift.distance, drawer.seed)));
    Ok(())
}

/// Every kind of probe equally often, its prompts in turns.
fn specificity_of(
    drawer: &mut Drawer<'_, '_>,
    cell: &Cell,
    prompts: &AuditPrompts,
    audit: &mut Audit,
) -> Result<()> {
    let stage = drawer.stage;
    let subject = stage.plan.subject(cell);
    let concept = stage.concept(subject);
    let (others, captions) = (&prompts.other_classes, &prompts.captions);
    let words = prompts.identifiers.iter();
    let all: Vec<ProbePrompt> = words
        .flat_map(|word| probes(&concept, word, others, captions))
        .collect();
    let kinds = [
        Probe::ClassOnly,
        Probe::IdentifierOnly,
        Probe::OtherClass,
        Probe::Unrelated,
    ];
    let chosen: Vec<&ProbePrompt> = kinds
        .iter()
        .flat_map(|kind| {
            let own: Vec<&ProbePrompt> = all.iter().filter(|probe| probe.probe == *kind).collect();
            own.into_iter()
                .cycle()
                .take(prompts.pictures.0)
                .collect::<Vec<_>>()
        })
        .collect();
    if chosen.is_empty() {
        return Ok(());
    }
    let texts: Vec<String> = chosen.iter().map(|probe| probe.prompt.clone()).collect();
    let [clean, protected] = drawer.twins(&texts, PROBE_STREAM)?;
    let class_only = stage.class_only(cell, subject, drawer.tick)?;
    let judge = stage.judge(subject, stage.person(cell)?, &class_only)?;
    let fired = judge
        .score(&clean)?
        .objective
        .into_iter()
        .zip(judge.score(&protected)?.objective);
    let twins: Vec<Twin> = chosen
        .iter()
        .zip(fired)
        .map(|(probe, (clean, protected))| Twin {
            probe: probe.probe,
            clean,
            protected,
        })
        .collect();
    if let Some(found) = specificity(&twins) {
        audit.specificity = Some(rounded(found.worst));
        audit.specificity_overall = Some(rounded(found.overall));
    }
    Ok(())
}

/// The trigger with every identifier, a few seeds each.
fn leak_of(
    drawer: &mut Drawer<'_, '_>,
    cell: &Cell,
    prompts: &AuditPrompts,
    audit: &mut Audit,
) -> Result<()> {
    let stage = drawer.stage;
    let concept = stage.concept(stage.plan.subject(cell));
    let words = prompts.identifiers.iter();
    let triggers: Vec<String> = words
        .map(|word| prompt::trigger(prompt::STOCK, word, &concept))
        .collect();
    if triggers.is_empty() || prompts.pictures.1 == 0 {
        return Ok(());
    }
    let repeated = triggers
        .iter()
        .flat_map(|prompt| std::iter::repeat_n(prompt.clone(), prompts.pictures.1));
    let [clean, protected] = drawer.twins(&repeated.collect::<Vec<_>>(), LEAK_STREAM)?;
    let embed = |pixels: &Tensor| Ok::<_, Error>(stage.encoder.embed_images(&fitted(pixels)?)?);
    let found = leak_audit(
        LeakCase {
            references: &embed(&stage.person(cell)?.references)?,
            clean: &embed(&clean)?,
            protected: &embed(&protected)?,
            prompts: &triggers,
        },
        cell.seed,
    )?;
    let copies = u32::try_from(found.copies.len()).unwrap_or(u32::MAX);
    audit.leak_p_value = Some(nine_decimals(found.p_value));
    audit.leaked = Some(if found.passed { 0 } else { copies.max(1) });
    audit.leak_pictures = found.n;
    Ok(())
}

/// Draws a few pictures at a time, which bounds memory.
struct Drawer<'a, 't> {
    stage: &'a Stage<'a>,
    sampling: SampleConfig,
    seed: u64,
    /// Clean, protected.
    models: [UNet; 2],
    tick: Tick<'t>,
}

impl Drawer<'_, '_> {
    const AT_ONCE: usize = 16;

    /// The same prompts and seeds on both models.
    fn twins(&mut self, prompts: &[String], stream: u64) -> Result<[Tensor; 2]> {
        Ok([
            self.draw(0, prompts, stream)?,
            self.draw(1, prompts, stream)?,
        ])
    }

    fn draw(&mut self, model: usize, prompts: &[String], stream: u64) -> Result<Tensor> {
        let seeds = image_seeds(self.seed, stream, prompts.len());
        let mut drawn = Vec::new();
        let parts = prompts
            .chunks(Self::AT_ONCE)
            .zip(seeds.chunks(Self::AT_ONCE));
        for (prompts, seeds) in parts {
            let mut progress = |done, total| (self.tick)("Drawing twins", done, total);
            let (pipeline, unet) = (self.stage.pipeline, &self.models[model]);
            drawn.push(draw_each(
                pipeline,
                unet,
                (prompts, seeds),
                &self.sampling,
                &mut progress,
            )?);
        }
        Ok(Tensor::cat(&drawn, 0)?)
    }
}
