//! `L_PP`: under prompts without the trigger the student stays what the teacher is.

use rand::Rng;

use super::Part;
use crate::{Result, bank::TeacherBank, prompts::select};
use diffusion::unet::Conditions;

/// Draws `batch` rows of (R, METHOD `L_PP`)
///
/// `|| eps_theta(z_t, t, c_cls) - eps_0(z_t, t, c_cls) ||^2`, `z_0` drawn by `eps_0` under `c_cls`.
///
/// `bank`: noisy class latents, or those of unrelated captions, with the teacher's answers under the same prompts;
/// weighed as `L_BB` is. Expected values have no gradient.
pub fn draw(
    bank: &TeacherBank,
    prompts: &Conditions,
    batch: usize,
    rng: &mut impl Rng,
) -> Result<Part> {
    let rows = bank.draw(batch, rng);
    let asked: Vec<usize> = rows.iter().map(|row| bank.prompt(*row)).collect();
    bank.part(&rows, select(prompts, &asked)?)
}
