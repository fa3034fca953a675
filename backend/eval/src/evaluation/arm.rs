//! One arm: a model, attacked, with pictures at every checkpoint.
//!
//! Owns nothing of the other arm, so a finished one can be kept and the other run alone.

use candle_core::Tensor;
use diffusion::weights::Weights;

use super::{Reporter, plan::Plan};
use crate::{
    Result,
    attack::{Attack, Preparation, Setup},
    gallery::Arm,
};

/// Pictures and times of one arm.
#[derive(Clone, Debug)]
pub(super) struct ArmPictures {
    /// Pixels by checkpoint, each `[images_per_arm, 3, h, w]` in `[-1, 1]`.
    pub(super) checkpoints: Vec<Tensor>,
    /// Seconds of each attack step.
    pub(super) step_seconds: Vec<f64>,
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
    let attacker = &plan.attacker;
    let preparing = format!("Preparing the attack on the {model} model");
    let setup = Setup {
        pipeline: plan.case.pipeline,
        start,
        instance: &plan.instance,
        words: &attacker.words,
        class_latents: None,
        class_images: attacker.class_images,
        captioned: None,
        recipe: &attacker.recipe,
        learning_rate: attacker.learning_rate,
        seed: attacker.seed,
        sampling: attacker.sampling,
    };
    let mut prepare = |_: Preparation, done, total| reporter.phase(&preparing, done, total);
    let mut attack = Attack::new(setup, &mut prepare)?.unclipped();
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
        let prompts = vec![attacker.words.drawing.clone(); plan.image_seeds.len()];
        pictures.push(attack.draw(
            &prompts,
            &plan.image_seeds,
            &plan.options.sampling,
            &mut |done, total| reporter.phase(&drawing, done, total),
        )?);
    }
    reporter.phase(&attacking, total, total)?;
    Ok(ArmPictures {
        checkpoints: pictures,
        step_seconds: attack.step_seconds().to_vec(),
    })
}
