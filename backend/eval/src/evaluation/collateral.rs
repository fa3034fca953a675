//! Side effects of a protected model: drift of the class and of everything else, firing without its trigger, and
//! what becomes of an innocent user.
//!
//! Owns the order of work. Refuses to judge: tolerances are the release gate's.

use candle_core::Tensor;
use diffusion::unet::UNet;
use shared::{
    collateral::{Collateral, ControlResult},
    evaluation::Estimate,
    job::JobSpec,
};

use super::{
    Case, CleanArm, EvaluateOptions, Report, Reporter, attack_clean, evaluate_beside, plan,
};
use crate::{
    Error, Result,
    draw::draw,
    quality,
    statistics::{bootstrap_mean, wilson},
};

/// Most captions of general drift.
const MAX_CAPTIONS: usize = 16;

/// Who else uses the model.
#[derive(Clone, Copy, Debug)]
pub struct Bystanders<'a> {
    /// Pictures of a stranger of the same class, `[n, 3, h, w]` in `[-1, 1]`.
    pub control: Option<&'a Tensor>,
    /// Captions that have nothing to do with the subject.
    pub captions: &'a [String],
}

/// Measures the side effects of the protected model of a case, beside a finished attack on the clean one.
///
/// Drift is the mean of `cos(prompt, protected) - cos(prompt, clean)` over twins of one seed (EVALUATION, drift),
/// with a bootstrap interval; firing is a share with Wilson's; the control's difference is that of
/// [`evaluate_beside`] after at most 100 steps, arms A3 minus A2.
pub fn collateral(
    clean: &CleanArm,
    case: Case<'_>,
    bystanders: Bystanders<'_>,
    spec: &JobSpec,
    options: &EvaluateOptions,
    report: Report<'_>,
) -> Result<Collateral> {
    let mut found = without_attack(clean, case, bystanders.captions, spec, options, report)?;
    if let Some(control) = bystanders.control {
        found.control = Some(innocent(case, control, spec, options, report)?);
    }
    Ok(found)
}

fn without_attack(
    clean: &CleanArm,
    case: Case<'_>,
    captions: &[String],
    spec: &JobSpec,
    options: &EvaluateOptions,
    report: Report<'_>,
) -> Result<Collateral> {
    let mut reporter = Reporter { report, step: 0 };
    let plan = plan::Plan::new(case, spec, options)?;
    let judge = plan.judge(&clean.class_only)?;
    let protected = UNet::new(case.pipeline.unet_config.clone(), case.protected)?;
    let pictures = plan.class_only_of(&protected, &mut reporter)?;
    let prompts = vec![plan.attacker.words.class.clone(); plan.threshold_images()];
    let fires = |pixels: &Tensor| -> Result<Estimate> {
        let fired = judge.score(pixels)?.objective;
        let count = fired.iter().filter(|fired| **fired).count();
        Ok(wilson(count, fired.len()))
    };
    Ok(Collateral {
        class_drift: drift(case, &prompts, (&clean.class_only, &pictures), spec.seed)?,
        class_fires: fires(&pictures)?,
        class_fires_clean: fires(&clean.class_only)?,
        general_drift: general(&plan, &protected, captions, &mut reporter)?,
        control: None,
    })
}

fn drift(
    case: Case<'_>,
    prompts: &[String],
    (clean, protected): (&Tensor, &Tensor),
    seed: u64,
) -> Result<Estimate> {
    let twins = quality::drift(case.encoder, prompts, clean, protected)?;
    Ok(bootstrap_mean(&twins.text_alignment, seed))
}

/// One twin a caption, each with its own seed.
fn general(
    plan: &plan::Plan<'_>,
    protected: &UNet,
    captions: &[String],
    reporter: &mut Reporter<'_>,
) -> Result<Option<Estimate>> {
    let captions = &captions[..captions.len().min(MAX_CAPTIONS)];
    if captions.is_empty() {
        return Ok(None);
    }
    let pipeline = plan.case.pipeline;
    let clean = pipeline.unet()?;
    let seeds = plan::caption_seeds(plan.spec.seed, captions.len());
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for (at, (caption, seed)) in captions.iter().zip(&seeds).enumerate() {
        reporter.phase("Drawing unrelated captions", at, captions.len())?;
        for (unet, pixels) in [(&clean, &mut before), (protected, &mut after)] {
            let config = &plan.options.sampling;
            let mut tick = |_: usize, _: usize| Ok::<(), Error>(());
            pixels.push(draw(pipeline, unet, caption, &[*seed], config, &mut tick)?);
        }
    }
    let (before, after) = (Tensor::cat(&before, 0)?, Tensor::cat(&after, 0)?);
    drift(plan.case, captions, (&before, &after), plan.spec.seed).map(Some)
}

/// The same recipe on a stranger's pictures, on both models.
fn innocent(
    case: Case<'_>,
    control: &Tensor,
    spec: &JobSpec,
    options: &EvaluateOptions,
    report: Report<'_>,
) -> Result<ControlResult> {
    let case = Case {
        references: control,
        ..case
    };
    let attack_step = spec.evaluation.control_steps();
    let mut spec = spec.clone();
    spec.evaluation.checkpoints = vec![attack_step];
    let clean = attack_clean(case, &spec, options, report)?;
    let judged = evaluate_beside(&clean, case, &spec, options, report)?;
    let result = judged.output.report.checkpoints[0];
    Ok(ControlResult {
        attack_step,
        images: u32::try_from(control.dim(0)?).unwrap_or(u32::MAX),
        clean: result.clean.similarity,
        protected: result.protected.similarity,
        difference: result.similarity_difference,
    })
}
