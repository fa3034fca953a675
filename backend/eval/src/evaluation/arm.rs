//! One arm: a model, attacked, with pictures at every checkpoint.
//!
//! Owns nothing of the other arm, so a finished one can be kept and the other run alone.

use candle_core::Tensor;
use diffusion::weights::Weights;

use super::{Reporter, plan::Plan};
use crate::{Error, Result, attack::Attack, draw::draw, gallery::Arm};

/// Pictures and times of one arm.
#[derive(Clone, Debug)]
pub(super) struct ArmPictures {
    /// Pixels by checkpoint, each `[images_per_arm, 3, h, w]` in `[-1, 1]`.
    pub(super) checkpoints: Vec<Tensor>,
    /// Seconds of each attack step.
    pub(super) step_seconds: Vec<f64>,
}

/// Refuses pictures of a model that fell apart: they would pass for resistance.
fn check_finite(pixels: &Tensor, step: u32) -> Result<()> {
    let value = pixels.abs()?.sum_all()?.to_scalar::<f32>()?;
    if value.is_finite() {
        Ok(())
    } else {
        Err(Error::Diverged { step, value })
    }
}

/// Attacks `start` and draws the plan's pictures at every checkpoint.
pub(super) fn attack(
    plan: &Plan<'_>,
    arm: Arm,
    start: &Weights,
    reporter: &mut Reporter<'_>,
) -> Result<ArmPictures> {
    let model = match arm {
        Arm::Clean => "unprotected",
        Arm::Protected => "protected",
    };
    let pipeline = plan.case.pipeline;
    let preparing = format!("Preparing the attack on the {model} model");
    let mut attack = Attack::new(
        pipeline,
        start,
        &plan.instance,
        plan.recipe.clone(),
        &mut |done, total| reporter.phase(&preparing, done, total),
    )?;
    let attacking = format!("Attacking the {model} model");
    let drawing = format!("Drawing from the {model} model");
    let checkpoints = &plan.spec.evaluation.checkpoints;
    let total = checkpoints.last().copied().unwrap_or_default() as usize;
    let mut pictures = Vec::with_capacity(checkpoints.len());
    for &checkpoint in checkpoints {
        let mut tick = |step: u32| {
            reporter.step = step;
            reporter.phase(&attacking, step as usize, total)
        };
        attack.advance_to(checkpoint, &mut tick)?;
        let pixels = draw(
            pipeline,
            attack.student(),
            &plan.recipe.prompt,
            &plan.image_seeds,
            &plan.options.sampling,
            &mut |done, total| reporter.phase(&drawing, done, total),
        )?;
        check_finite(&pixels, checkpoint)?;
        pictures.push(pixels);
    }
    reporter.phase(&attacking, total, total)?;
    Ok(ArmPictures {
        checkpoints: pictures,
        step_seconds: attack.step_seconds().to_vec(),
    })
}
