//! The finished attack on the clean model, which any number of protected models can be judged beside.
//!
//! Owns what must agree before it may be used again. Refuses an arm of another attack.

use candle_core::Tensor;
use shared::job::JobSpec;

use super::{
    Case, EvaluateOptions, Report, Reporter,
    arm::{self, ArmPictures},
    plan::{Attacker, Plan},
};
use crate::{Error, Result, gallery::Arm, metric::Judge};

/// Pictures of the clean model: under the class-only prompt, and at every checkpoint of its attack.
#[derive(Clone, Debug)]
pub struct CleanArm {
    /// What the clean base draws under the class-only prompt, `[m, 3, h, w]` in `[-1, 1]`; it sets the thresholds.
    pub(super) class_only: Tensor,
    pub(super) arm: ArmPictures,
    attacker: Attacker,
    checkpoints: Vec<u32>,
    image_seeds: Vec<u64>,
    references: Vec<f32>,
}

/// Attacks the clean model alone; the protected weights of `case` are not looked at.
pub fn attack_clean(
    case: Case<'_>,
    spec: &JobSpec,
    options: &EvaluateOptions,
    report: Report<'_>,
) -> Result<CleanArm> {
    let mut reporter = Reporter { report, step: 0 };
    let plan = Plan::new(case, spec, options)?;
    let class_only = plan.class_only(&mut reporter)?;
    // A standard that cannot be set shall not cost an attack.
    plan.judge(&class_only)?;
    let start = &case.pipeline.unet_weights;
    Ok(CleanArm {
        class_only,
        arm: arm::attack(&plan, Arm::Clean, start, &mut reporter)?,
        checkpoints: spec.evaluation.checkpoints.clone(),
        references: values(case.references)?,
        image_seeds: plan.image_seeds,
        attacker: plan.attacker,
    })
}

impl CleanArm {
    /// The standard by which [`super::evaluate_beside`] judges this case, to score pictures from elsewhere.
    pub fn judge<'a>(
        &self,
        case: Case<'a>,
        spec: &'a JobSpec,
        options: &'a EvaluateOptions,
    ) -> Result<Judge<'a>> {
        let plan = Plan::new(case, spec, options)?;
        self.check(&plan)?;
        plan.judge(&self.class_only)
    }

    /// Refuses a plan that would have attacked the clean model in another way.
    pub(super) fn check(&self, plan: &Plan<'_>) -> Result<()> {
        let checks = [
            (
                self.checkpoints == plan.spec.evaluation.checkpoints,
                "checkpoints",
            ),
            (self.attacker == plan.attacker, "recipe"),
            (self.image_seeds == plan.image_seeds, "seeds"),
            (
                self.class_only.dim(0)? == plan.threshold_images(),
                "number of class-only pictures",
            ),
            (
                self.references == values(plan.case.references)?,
                "protected pictures",
            ),
        ];
        match checks.into_iter().find(|(agrees, _)| !agrees) {
            Some((_, difference)) => Err(Error::OtherCleanArm { difference }),
            None => Ok(()),
        }
    }
}

fn values(pixels: &Tensor) -> Result<Vec<f32>> {
    Ok(pixels.flatten_all()?.to_vec1()?)
}
