//! The judgement of one protected model: the same attack on both models, matched pictures, scores.
//!
//! Owns the order of work. Refuses to look at anything of the protected model but its weights.

use std::{ops::ControlFlow, time::Instant};

use candle_core::Tensor;
use diffusion::{
    pipeline::Pipeline, sample::SampleConfig, schedule::SamplerKind, weights::Weights,
};
use shared::{
    evaluation::EvaluationOutput,
    job::{JobProgress, JobSpec},
    progress::Progress,
};

use self::plan::Plan;
use crate::{
    Error, Result,
    encoder::Encoder,
    gallery::{Arm, image_name, png_files},
    prompt,
    report::ScoredCheckpoint,
    statistics::quantile,
};

pub use self::clean::{CleanArm, attack_clean};
pub use self::collateral::{Bystanders, collateral};
pub(crate) use self::plan::seeds as image_seeds;

mod arm;
mod clean;
mod collateral;
mod plan;

/// Who is judged, by what, on which pictures.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// The clean base.
    pub pipeline: &'a Pipeline,
    /// U-Net weights under attack.
    pub protected: &'a Weights,
    /// Reads the pictures.
    pub encoder: &'a Encoder,
    /// The protected pictures, `[n, 3, h, w]` in `[-1, 1]`; the attacker has the same.
    pub references: &'a Tensor,
    /// Of a pattern objective what it shows, `[4, h, w]`: RGB in `[-1, 1]`, alpha (mask x opacity) in `[0, 1]`.
    pub overlay: Option<&'a Tensor>,
}

/// What a job does not say.
#[derive(Clone, Debug)]
pub struct EvaluateOptions {
    /// Identifiers that injection never saw; the first is the attacker's unless the job names one.
    pub held_out_identifiers: Vec<String>,
    /// Beginning of the attacker's prompt; the stock one is "a photo of".
    pub template: String,
    /// How pictures and the attacker's class images are drawn.
    pub sampling: SampleConfig,
    /// Instance images a step, and as many class images.
    pub batch_size: usize,
    /// Class images of the attacker.
    pub class_images: usize,
    /// Class-only pictures of the clean base that set the hit threshold.
    pub threshold_images: usize,
    /// What the report calls the encoder.
    pub encoder_name: String,
    /// SHA-256 of the clean U-Net's file.
    pub clean_sha256: String,
    /// SHA-256 of the protected U-Net's file.
    pub protected_sha256: String,
}

impl Default for EvaluateOptions {
    fn default() -> Self {
        Self {
            held_out_identifiers: Vec::new(),
            template: prompt::STOCK.to_owned(),
            sampling: SampleConfig {
                steps: 10,
                guidance_scale: 3.0,
                sampler: SamplerKind::DpmSolver,
                ..SampleConfig::default()
            },
            batch_size: 4,
            class_images: 24,
            threshold_images: 32,
            encoder_name: "the demo encoder".to_owned(),
            clean_sha256: String::new(),
            protected_sha256: String::new(),
        }
    }
}

/// What a judgement measured of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Median milliseconds of an attack step.
    pub milliseconds_per_step: f64,
    /// Seconds from start to end.
    pub seconds: f64,
}

/// A judgement with its pictures.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Report and pairs.
    pub output: EvaluationOutput,
    /// File name and PNG bytes of every picture of the pairs.
    pub images: Vec<(String, Vec<u8>)>,
    /// What was measured.
    pub metrics: Metrics,
}

/// Receives progress; `Break` stops the run before its next step.
pub type Report<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// Wraps the callback and turns `Break` into [`Error::Canceled`].
struct Reporter<'a> {
    report: Report<'a>,
    /// Attack steps done on the model at hand.
    step: u32,
}

impl Reporter<'_> {
    fn phase(&mut self, phase: &str, step: usize, total: usize) -> Result<()> {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let progress = Progress::Step(JobProgress {
            phase: phase.to_owned(),
            step: count(step),
            total: count(total),
        });
        match (self.report)(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Canceled { step: self.step }),
        }
    }
}

/// Attacks the clean and the protected model alike and judges both.
///
/// The result depends on the inputs and `spec.seed` alone.
pub fn evaluate(
    case: Case<'_>,
    spec: &JobSpec,
    options: &EvaluateOptions,
    report: Report<'_>,
) -> Result<Evaluation> {
    let start = Instant::now();
    let clean = attack_clean(case, spec, options, report)?;
    let mut evaluation = evaluate_beside(&clean, case, spec, options, report)?;
    evaluation.metrics.seconds = start.elapsed().as_secs_f64();
    Ok(evaluation)
}

/// Attacks the protected model alone and judges it beside a finished attack on the clean one.
///
/// Gives what [`evaluate`] gives, for the price of one arm. Refuses an arm with another recipe, other pictures or
/// other seeds; that it started from the same clean weights is the caller's word.
pub fn evaluate_beside(
    clean: &CleanArm,
    case: Case<'_>,
    spec: &JobSpec,
    options: &EvaluateOptions,
    report: Report<'_>,
) -> Result<Evaluation> {
    let start = Instant::now();
    let mut reporter = Reporter { report, step: 0 };
    let plan = Plan::new(case, spec, options)?;
    clean.check(&plan)?;
    let judge = plan.judge(&clean.class_only)?;
    let protected = arm::attack(&plan, Arm::Protected, case.protected, &mut reporter)?;
    let mut scored = Vec::new();
    let mut images = Vec::new();
    let pictures = clean.arm.checkpoints.iter().zip(&protected.checkpoints);
    for (&attack_step, (clean, protected)) in spec.evaluation.checkpoints.iter().zip(pictures) {
        scored.push(ScoredCheckpoint {
            attack_step,
            clean: judge.score(clean)?,
            protected: judge.score(protected)?,
        });
        for (arm, pixels) in [(Arm::Clean, clean), (Arm::Protected, protected)] {
            let files = png_files(pixels)?.into_iter().enumerate();
            images.extend(files.map(|(index, file)| (image_name(arm, attack_step, index), file)));
        }
    }
    let step_seconds = [
        clean.arm.step_seconds.as_slice(),
        protected.step_seconds.as_slice(),
    ]
    .concat();
    Ok(Evaluation {
        output: plan.evidence(&judge, scored).into_output(),
        images,
        metrics: Metrics {
            milliseconds_per_step: 1000.0 * quantile(&step_seconds, 0.5).unwrap_or_default(),
            seconds: start.elapsed().as_secs_f64(),
        },
    })
}

#[cfg(test)]
mod tests;
