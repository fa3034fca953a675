//! `L_PP`: under the class prompt the student stays what the teacher is.

use rand::Rng;

use super::Part;
use crate::{Result, bank::TeacherBank, dataset::Prompts};

/// Draws `batch` rows of (R, METHOD `L_PP`)
///
/// `|| eps_theta(z_t, t, c_cls) - eps_0(z_t, t, c_cls) ||^2`, `z_0` drawn by `eps_0` under `c_cls`.
///
/// `bank`: noisy class latents with the teacher's answers under `c_cls`, weighed as `L_BB` is.
/// Expected values have no gradient.
pub fn draw(
    bank: &TeacherBank,
    prompts: &Prompts,
    batch: usize,
    rng: &mut impl Rng,
) -> Result<Part> {
    let rows = bank.draw(batch, rng);
    let templates: Vec<usize> = rows.iter().map(|row| bank.template(*row)).collect();
    bank.part(&rows, prompts.classes(&templates)?)
}
