//! One run of the benchmark: protect, attack both models, judge. Refuses to know other runs.

use std::path::Path;

use diffusion::pipeline::Pipeline;
use eval::encoder::Encoder;
use eval::{Case, EvaluateOptions};
use persguard::ProtectOptions;
use serde::{Deserialize, Serialize};
use shared::evaluation::EvaluationOutput;

use super::matrix::Unit;
use crate::names;
use crate::train::batch;

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
    /// Milliseconds of an injection step (median).
    pub inject_ms_per_step: f64,
    /// Milliseconds of an attack step (median).
    pub attack_ms_per_step: f64,
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

/// Runs a unit; its pictures go to `directory/subject` and `directory/stranger`.
pub fn run(
    unit: &Unit,
    models: Models<'_>,
    fingerprint: &str,
    directory: &Path,
) -> anyhow::Result<UnitResult> {
    let start = std::time::Instant::now();
    let unchanged = |_: usize, _: &mut [f32]| {};
    let references = batch::pixels(&unit.references(), unchanged)?;
    let strangers = batch::pixels(&unit.stranger_references(), unchanged)?;
    // Injection never sees the attacker's word.
    let identifiers = names::open()
        .into_iter()
        .filter(|word| *word != unit.identifier)
        .map(str::to_owned)
        .collect();
    let options = ProtectOptions {
        identifiers,
        checkpoint_every: 0,
        ..ProtectOptions::default()
    };
    let spec = unit.spec();
    let mut go_on = |_| std::ops::ControlFlow::Continue(());
    let protected = persguard::protect(models.pipeline, &references, &spec, &options, &mut go_on)?;
    let options = EvaluateOptions {
        held_out_identifiers: vec![unit.identifier.clone()],
        template: unit.template.clone(),
        ..EvaluateOptions::default()
    };
    let judge = |references, spec, name: &str| -> anyhow::Result<eval::Evaluation> {
        let case = Case {
            pipeline: models.pipeline,
            protected: &protected.weights,
            encoder: models.encoder,
            references,
        };
        let mut go_on = |_| std::ops::ControlFlow::Continue(());
        let evaluation = eval::evaluate(case, &spec, &options, &mut go_on)?;
        for (file, bytes) in &evaluation.images {
            let path = directory.join(name).join(file);
            std::fs::create_dir_all(path.parent().unwrap_or(directory))?;
            std::fs::write(path, bytes)?;
        }
        Ok(evaluation)
    };
    let subject = judge(&references, spec.clone(), "subject")?;
    let stranger = judge(&strangers, unit.stranger_spec(), "stranger")?;
    Ok(UnitResult {
        unit: unit.clone(),
        fingerprint: fingerprint.to_owned(),
        subject: subject.output,
        stranger: stranger.output,
        inject_ms_per_step: protected.metrics.milliseconds_per_step,
        attack_ms_per_step: subject.metrics.milliseconds_per_step,
        seconds: start.elapsed().as_secs_f64(),
    })
}
