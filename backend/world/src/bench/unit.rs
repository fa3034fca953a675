//! One run of the benchmark: protect, attack both models, judge. Refuses to know other runs.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use candle_core::Tensor;
use diffusion::pipeline::Pipeline;
use diffusion::weights::Weights;
use eval::encoder::Encoder;
use eval::{Case, CleanArm, EvaluateOptions, Evaluation};
use persguard::{Outcome, ProtectOptions, Subject};
use serde::{Deserialize, Serialize};
use shared::evaluation::EvaluationOutput;
use shared::job::JobSpec;
use shared::progress::Progress;

use super::clean::{Clean, CleanArms};
use super::matrix::Unit;
use super::quality::{Quality, Strays, Twins};
use crate::train::batch;
use crate::{caption, names};

/// What a run found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnitResult {
    /// What was run.
    pub unit: Unit,
    /// SHA-256 of everything that the result depends on.
    pub fingerprint: String,
    /// The protected subject under attack, on the clean and on the protected model.
    pub subject: EvaluationOutput,
    /// The stranger under the same attack.
    pub stranger: EvaluationOutput,
    /// What the protected model costs without an attack, where that was asked for.
    pub quality: Option<Quality>,
    /// Milliseconds of an injection step (median).
    pub inject_ms_per_step: f64,
    /// Milliseconds of an attack step (median).
    pub attack_ms_per_step: f64,
    /// Share of the injection's steps outside the student's forward, backward and update.
    pub overhead_share: f64,
    /// Seconds of the injection, teacher included.
    pub inject_seconds: f64,
    /// Seconds of the whole run.
    pub seconds: f64,
}

/// The models under test.
#[derive(Clone, Copy)]
pub struct Models<'a> {
    /// The base model.
    pub pipeline: &'a Pipeline,
    /// Reads the pictures.
    pub encoder: &'a Encoder,
}

/// What runs share.
pub struct Bench<'a> {
    /// The models under test.
    pub models: Models<'a>,
    /// SHA-256 of everything that results depend on.
    pub fingerprint: &'a str,
    /// Attacks on the clean model that are done.
    pub arms: CleanArms,
    /// Given, quality is measured.
    pub twins: Option<Twins>,
}

/// Pictures and job of one attacked person.
struct Victim {
    references: Tensor,
    spec: JobSpec,
}

impl Victim {
    fn case<'a>(&'a self, models: Models<'a>, protected: &'a Weights) -> Case<'a> {
        Case {
            pipeline: models.pipeline,
            protected,
            encoder: models.encoder,
            references: &self.references,
            overlay: None,
        }
    }
}

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Runs a unit; its pictures go to `directory/subject` and `directory/stranger`.
pub fn run(unit: &Unit, bench: &Bench<'_>, directory: &Path) -> anyhow::Result<UnitResult> {
    let start = Instant::now();
    let unchanged = |_: usize, _: &mut [f32]| {};
    let subject = Victim {
        references: batch::pixels(&unit.references(), unchanged)?,
        spec: unit.spec(),
    };
    let stranger = Victim {
        references: batch::pixels(&unit.stranger_references(), unchanged)?,
        spec: unit.stranger_spec(),
    };
    let protected = protect(unit, bench.models, &subject)?;
    let options = EvaluateOptions {
        held_out_identifiers: vec![unit.identifier.clone()],
        template: unit.template.clone(),
        ..EvaluateOptions::default()
    };
    let clean = bench.arms.get(&unit.name(), || {
        attack_clean(unit, bench, &options, &subject, &stranger)
    })?;
    let judge = |victim: &Victim, arm: &CleanArm, name: &str| -> anyhow::Result<Evaluation> {
        let case = victim.case(bench.models, &protected.weights);
        let found = eval::evaluate_beside(arm, case, &victim.spec, &options, &mut go_on)?;
        write(&found, &directory.join(name))?;
        Ok(found)
    };
    let found = judge(&subject, &clean.subject, "subject")?;
    let innocent = judge(&stranger, &clean.stranger, "stranger")?;
    let quality = match (&bench.twins, &clean.strays) {
        (Some(twins), Some(strays)) => {
            let case = subject.case(bench.models, &protected.weights);
            let judge = clean.subject.judge(case, &subject.spec, &options)?;
            let (strays, weights) = (strays.clone(), &protected.weights);
            let models = bench.models;
            Some(Quality::measure(
                unit, models, twins, strays, weights, &judge,
            )?)
        }
        _ => None,
    };
    Ok(UnitResult {
        unit: unit.clone(),
        fingerprint: bench.fingerprint.to_owned(),
        subject: found.output,
        stranger: innocent.output,
        quality,
        inject_ms_per_step: protected.metrics.milliseconds_per_step,
        attack_ms_per_step: found.metrics.milliseconds_per_step,
        overhead_share: protected.metrics.overhead_share,
        inject_seconds: protected.metrics.seconds,
        seconds: start.elapsed().as_secs_f64(),
    })
}

fn protect(unit: &Unit, models: Models<'_>, subject: &Victim) -> anyhow::Result<Outcome> {
    // Injection never sees the attacker's word.
    let identifiers = names::open()
        .into_iter()
        .filter(|word| *word != unit.identifier)
        .map(str::to_owned)
        .collect();
    let captions = if unit.captions {
        caption::everyday()
    } else {
        Vec::new()
    };
    let options = ProtectOptions {
        identifiers,
        captions,
        checkpoint_every: 0,
        ..ProtectOptions::default()
    };
    let subjects = [Subject {
        images: subject.references.clone(),
        overlay: None,
    }];
    let mut go_on = |_| ControlFlow::Continue(());
    let spec = &subject.spec;
    Ok(persguard::protect(
        models.pipeline,
        &subjects,
        spec,
        &options,
        &mut go_on,
    )?)
}

/// Everything of a subject and seed that is the same whatever the protection.
fn attack_clean(
    unit: &Unit,
    bench: &Bench<'_>,
    options: &EvaluateOptions,
    subject: &Victim,
    stranger: &Victim,
) -> anyhow::Result<Clean> {
    let models = bench.models;
    let weights = &models.pipeline.unet_weights;
    let attack = |victim: &Victim| {
        let case = victim.case(models, weights);
        eval::attack_clean(case, &victim.spec, options, &mut go_on)
    };
    let arm = attack(subject)?;
    let strays = match bench.twins {
        Some(_) => {
            let judge = arm.judge(subject.case(models, weights), &subject.spec, options)?;
            let unet = models.pipeline.unet()?;
            Some(Strays::count(unit, models, &unet, &judge)?)
        }
        None => None,
    };
    Ok(Clean {
        subject: arm,
        stranger: attack(stranger)?,
        strays,
    })
}

fn write(evaluation: &Evaluation, directory: &Path) -> std::io::Result<()> {
    for (file, bytes) in &evaluation.images {
        let path = directory.join(file);
        std::fs::create_dir_all(path.parent().unwrap_or(directory))?;
        std::fs::write(path, bytes)?;
    }
    Ok(())
}
