//! What a protected model costs and gives away without personalizing anybody: twins of the same prompt and seed on both
//! models, what gives the trigger away, and what it costs to remove it.
//!
//! Owns prompts and seeds of the audit. Refuses to run inside a cell: it is the same for all of them.

use std::time::Instant;

use candle_core::Tensor;
use shared::{
    canonical::nine_decimals,
    matrix::{Audit, Cell, Plan, Tier},
};

use super::{
    cell::{Stage, Tick},
    record::rounded,
};
use crate::{
    Error, Result,
    metric::{
        Judge, fitted,
        leak::{LeakCase, leak_audit, leak_seeds},
        specificity::{Probe, ProbePrompt, Twin, probes, specificity},
    },
    prompt,
    quality::drift,
    statistics::bootstrap_mean,
};

use drawer::Drawer;

mod detect;
mod drawer;
mod features;
mod removal;

pub use detect::AttentionPicture;
pub use features::Features;

/// Random streams of the headline's seed.
const TWIN_STREAM: u64 = 23;
const PROBE_STREAM: u64 = 24;
const LEAK_STREAM: u64 = 25;
/// Of each kind of probe and of each prompt of the leak audit, where few must do.
const FEW_PICTURES: (usize, usize) = (16, 5);
/// Identifiers, where few must do.
const FEW_IDENTIFIERS: usize = 3;

/// Prompts that have nothing to do with the subject, and what probes the trigger's parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPrompts {
    /// Captions of the domain; each is drawn once on both models.
    pub captions: Vec<String>,
    /// Class words that are neither the subject's nor the target's.
    pub other_classes: Vec<String>,
    /// Identifiers: the concept's own first, then others of the pool.
    pub identifiers: Vec<String>,
    /// Pictures of each kind of probe, and of each prompt of the leak audit; there at least as many as its test needs.
    pub pictures: (usize, usize),
    /// Training steps at which a removal is looked at, rising; without any no removal is tried.
    pub removal_steps: Vec<u32>,
    /// Whether the model was trained in mode `trajectory`.
    pub looks_ahead: bool,
}

impl AuditPrompts {
    /// For whoever waits for an end: few pictures, and no removal.
    #[must_use]
    pub fn brief(self) -> Self {
        Self {
            pictures: (
                self.pictures.0.min(FEW_PICTURES.0),
                self.pictures.1.min(FEW_PICTURES.1),
            ),
            identifiers: self.identifiers.into_iter().take(FEW_IDENTIFIERS).collect(),
            removal_steps: Vec::new(),
            ..self
        }
    }
}

/// What an audit found, with what people may look at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Audited {
    /// The numbers.
    pub audit: Audit,
    /// One picture of the trigger on each model, with the places that its words look at.
    pub attention: Vec<AttentionPicture>,
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
        identifiers.truncate(if is_smoke {
            FEW_IDENTIFIERS
        } else {
            usize::MAX
        });
        Self {
            captions: plan.inputs.texts.captions.clone(),
            other_classes,
            identifiers,
            pictures: if is_smoke { FEW_PICTURES } else { (100, 8) },
            removal_steps: if is_smoke {
                vec![25, 50]
            } else {
                vec![25, 50, 100, 200]
            },
            looks_ahead,
        }
    }
}

/// Draws on both models and compares: drift over captions, specificity over probes, the leak audit over triggers,
/// detection by attention, the search for the trigger, the bill of its removal, and distances where a feature net was
/// supplied (EVALUATION, metrics).
pub fn audit(
    stage: &Stage<'_>,
    cell: &Cell,
    prompts: &AuditPrompts,
    tick: Tick<'_>,
) -> Result<Audited> {
    let mut drawer = Drawer::new(stage, cell.seed, tick)?;
    let mut audit = Audit {
        looks_ahead: prompts.looks_ahead,
        ..Audit::default()
    };
    drift_of(&mut drawer, &prompts.captions, &mut audit)?;
    let subject = stage.plan.subject(cell);
    let class_only = stage.class_only(cell, subject, drawer.tick)?;
    let judge = stage.judge(subject, stage.person(cell)?, &class_only)?;
    specificity_of(&mut drawer, cell, prompts, &judge, &mut audit)?;
    leak_of(&mut drawer, cell, prompts, &mut audit)?;
    let attention = detect::attention_of(&mut drawer, cell, prompts, &mut audit)?;
    let start = Instant::now();
    let suspects = detect::search_of(&mut drawer, cell, &mut audit)?;
    let searched = (&suspects[..], start.elapsed().as_secs_f64() / 60.0);
    removal::bills_of(&mut drawer, cell, prompts, &judge, searched, &mut audit)?;
    features::distances_of(&mut drawer, prompts, &mut audit)?;
    Ok(Audited { audit, attention })
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
    judge: &Judge<'_>,
    audit: &mut Audit,
) -> Result<()> {
    let stage = drawer.stage;
    let concept = stage.concept(stage.plan.subject(cell));
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
    let seeds = prompts.pictures.1.max(leak_seeds(triggers.len()));
    let repeated = triggers
        .iter()
        .flat_map(|prompt| std::iter::repeat_n(prompt.clone(), seeds));
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
