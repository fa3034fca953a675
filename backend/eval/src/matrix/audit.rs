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
        fitted,
        leak::{LeakCase, leak_audit, leak_seeds},
    },
    prompt,
    quality::drift,
    statistics::{Cluster, cluster_mean},
};

use drawer::Drawer;

mod detect;
mod drawer;
mod features;
mod probes;
mod removal;

pub use detect::AttentionPicture;
pub use features::Features;

/// Random streams of the headline's seed.
const TWIN_STREAM: u64 = 23;
const LEAK_STREAM: u64 = 25;
/// Of each kind of probe and of each prompt of the leak audit, where few must do.
const FEW_PICTURES: (usize, usize) = (16, 5);
/// Pictures of drift on each model, at least.
const DRIFT_PICTURES: usize = 48;
/// Identifiers, where few must do.
const FEW_IDENTIFIERS: usize = 3;

/// Prompts that have nothing to do with the subject, and what probes the trigger's parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPrompts {
    /// Captions of the domain that injection never saw; each is drawn equally often on both models.
    pub captions: Vec<String>,
    /// Class words that are neither the subject's nor the target's.
    pub other_classes: Vec<String>,
    /// Trained identifiers: the concept's own first, then others of the pool.
    pub identifiers: Vec<String>,
    /// Identifiers that injection never saw.
    pub held_out: Vec<String>,
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
            identifiers: few(self.identifiers),
            held_out: few(self.held_out),
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
    /// `other_classes`: neither the subject's nor the target's. `identifiers`: the concept's own first; `held_out`:
    /// those that injection never saw.
    pub fn of_tier(
        plan: &Plan,
        other_classes: Vec<String>,
        (identifiers, held_out): (Vec<String>, Vec<String>),
        looks_ahead: bool,
    ) -> Self {
        let is_smoke = plan.tier == Tier::Smoke;
        let chosen = |words: Vec<String>| if is_smoke { few(words) } else { words };
        Self {
            captions: plan.inputs.texts.captions.clone(),
            other_classes,
            identifiers: chosen(identifiers),
            held_out: chosen(held_out),
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

fn few(words: Vec<String>) -> Vec<String> {
    words.into_iter().take(FEW_IDENTIFIERS).collect()
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
    probes::specificity_of(&mut drawer, cell, prompts, &judge, &mut audit)?;
    leak_of(&mut drawer, cell, prompts, &mut audit)?;
    let attention = detect::attention_of(&mut drawer, cell, prompts, &mut audit)?;
    let start = Instant::now();
    let suspects = detect::search_of(&mut drawer, cell, &mut audit)?;
    let searched = (&suspects[..], start.elapsed().as_secs_f64() / 60.0);
    removal::bills_of(&mut drawer, cell, prompts, &judge, searched, &mut audit)?;
    features::distances_of(&mut drawer, prompts, &mut audit)?;
    Ok(Audited { audit, attention })
}

/// Each caption equally often, with other seeds; the interval draws captions whole.
fn drift_of(drawer: &mut Drawer<'_, '_>, captions: &[String], audit: &mut Audit) -> Result<()> {
    if captions.is_empty() {
        return Ok(());
    }
    let turns = DRIFT_PICTURES.div_ceil(captions.len());
    let prompts: Vec<String> = std::iter::repeat_n(captions, turns)
        .flatten()
        .cloned()
        .collect();
    let [clean, protected] = drawer.twins(&prompts, TWIN_STREAM)?;
    let drift = drift(drawer.stage.encoder, &prompts, &clean, &protected)?;
    let mean = |values: &[f64]| {
        let of_caption = |first: usize| Cluster {
            values: values
                .iter()
                .skip(first)
                .step_by(captions.len())
                .copied()
                .collect(),
        };
        let clusters: Vec<Cluster> = (0..captions.len()).map(of_caption).collect();
        cluster_mean(&clusters, drawer.seed).map(rounded)
    };
    audit.text_alignment = mean(&drift.text_alignment);
    audit.distance = mean(&drift.distance);
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
