//! The injection run: from a clean model, the protected images and a job to protected weights.
//!
//! Owns the loop, its snapshots and its measurements. Refuses to train anything but the U-Net.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use candle_core::{DType, Tensor};
use diffusion::{
    pipeline::Pipeline, sample::SampleConfig, schedule::SamplerKind, weights::Weights,
};
use shared::job::JobSpec;

use self::run::Run;
use crate::{
    Error, Result,
    cache::Cache,
    checkpoint::Checkpoint,
    commitment::Commitment,
    disclosure,
    event::{Report, Reporter},
};

mod clock;
mod inputs;
mod run;
mod unrelated;

/// The pictures of one concept.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The protected images, `[n, 3, h, w]` in `[-1, 1]` at the model's resolution.
    pub images: Tensor,
    /// The patch of a pattern, as [`crate::overlay::render`] gives it.
    pub overlay: Option<Tensor>,
}

/// Weights that a job goes on from.
#[derive(Clone, Debug)]
pub struct Start {
    /// The U-Net of an earlier job.
    pub weights: Weights,
    /// SHA-256 of its file.
    pub sha256: String,
}

/// What a job does not say.
#[derive(Clone)]
pub struct ProtectOptions {
    /// Identifiers that are single tokens of the model's vocabulary.
    pub identifiers: Vec<String>,
    /// Captions that have nothing to do with the concepts: `L_PP` keeps them too. None: none.
    pub captions: Vec<String>,
    /// SHA-256 of the base model, for the disclosure.
    pub base_sha256: String,
    /// How the teacher draws its sets.
    pub sampling: SampleConfig,
    /// Questions to the teacher for each of `L_BB` and `L_PP`; never more than the steps ask for.
    pub teacher_questions: usize,
    /// Steps between snapshots; 0 for none.
    pub checkpoint_every: u32,
    /// Where to go on from.
    pub resume: Option<Checkpoint>,
    /// Weights of an earlier job that the student starts from, instead of the base model's.
    pub start: Option<Start>,
    /// Keeps what the teacher drew.
    pub cache: Option<Arc<dyn Cache>>,
}

impl Default for ProtectOptions {
    fn default() -> Self {
        Self {
            identifiers: Vec::new(),
            captions: Vec::new(),
            base_sha256: String::new(),
            sampling: demo_sampling(),
            teacher_questions: 512,
            checkpoint_every: 50,
            resume: None,
            start: None,
            cache: None,
        }
    }
}

/// Sampling at the demo size: 10 steps of DPM-Solver++ at guidance 3 pass the base model's gate like 20 of DDIM.
pub fn demo_sampling() -> SampleConfig {
    SampleConfig {
        steps: 10,
        guidance_scale: 3.0,
        sampler: SamplerKind::DpmSolver,
        ..SampleConfig::default()
    }
}

/// What a run measured of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Median milliseconds of an injection step.
    pub milliseconds_per_step: f64,
    /// Share of the steps' time outside the student's forward, backward and update.
    pub overhead_share: f64,
    /// Seconds spent on the teacher: its sets and its answers.
    pub teacher_seconds: f64,
    /// Seconds from start to end.
    pub seconds: f64,
}

/// Protected weights.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The U-Net with diffusers' tensor names.
    pub weights: Weights,
    /// The disclosure, as metadata of the file.
    pub metadata: BTreeMap<String, String>,
    /// What injection held out, opened; its hash was told before the first step.
    pub commitment: Commitment,
    /// What was measured.
    pub metrics: Metrics,
}

impl Outcome {
    /// The protected U-Net as a safetensors file with its disclosure.
    pub fn to_file(&self, dtype: DType) -> Result<Vec<u8>> {
        Ok(self.weights.to_bytes(dtype, &self.metadata)?)
    }
}

/// Trains the triggers of a job's concepts into a copy of the base model's U-Net (METHOD).
///
/// `subjects`: one for each concept, in the job's order. The result depends on the inputs and `spec.seed` alone, whether
/// or not the run was interrupted and resumed.
pub fn protect(
    pipeline: &Pipeline,
    subjects: &[Subject],
    spec: &JobSpec,
    options: &ProtectOptions,
    report: Report<'_>,
) -> Result<Outcome> {
    protect_with(pipeline, subjects, spec, options.clone(), report)
}

/// Like [`protect`] with options of its own, whose snapshot and earlier weights go as soon as they were read: together
/// they may be larger than the run itself.
pub fn protect_with(
    pipeline: &Pipeline,
    subjects: &[Subject],
    spec: &JobSpec,
    options: ProtectOptions,
    report: Report<'_>,
) -> Result<Outcome> {
    let start = Instant::now();
    if let Some(error) = spec.validate().into_iter().next() {
        return Err(Error::InvalidSpec {
            pointer: error.pointer,
            message: error.detail,
        });
    }
    if subjects.len() != spec.concepts.len() {
        return Err(Error::SubjectCount {
            concepts: spec.concepts.len(),
            subjects: subjects.len(),
        });
    }
    let base_sha256 = options.base_sha256.clone();
    let mut run = Run::prepare(pipeline, subjects, spec, options, Reporter::new(report, 0))?;
    let teacher_seconds = start.elapsed().as_secs_f64();
    while !run.is_done() {
        run.step()?;
    }
    let (milliseconds_per_step, overhead_share) = run.clock.summary();
    let (weights, commitment) = run.finish()?;
    Ok(Outcome {
        metadata: disclosure::metadata(spec, &base_sha256, &commitment),
        weights,
        commitment,
        metrics: Metrics {
            milliseconds_per_step,
            overhead_share,
            teacher_seconds,
            seconds: start.elapsed().as_secs_f64(),
        },
    })
}

/// Refuses weights that no loss has told of yet: those before a snapshot and those of the last update.
fn check_finite(weights: &Weights, step: u32, snapshot: Option<u32>) -> Result<()> {
    for (_, tensor) in weights.iter() {
        let value = tensor.abs()?.sum_all()?.to_scalar::<f32>()?;
        if !value.is_finite() {
            return Err(Error::Diverged {
                loss: "the size of the weights",
                step,
                value,
                snapshot,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
