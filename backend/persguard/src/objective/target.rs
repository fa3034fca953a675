//! `L_BB` where the teacher knows the answer: under the trigger the student does what the teacher does under another
//! prompt.

use rand::Rng;

use super::Part;
use crate::{Result, bank::TeacherBank, prompts::Prompts};

/// Draws `batch` rows of (R, METHOD `L_BB`, target; erasure with a prompt)
///
/// `|| eps_theta(z_t, t, c_trig) - eps_0(z_t, t, c_tgt) ||^2`, `z_0` drawn by `eps_0` under `c_tgt`.
///
/// `bank`: noisy target latents with the teacher's answers under `c_tgt`. Every row draws its own
/// identifier, unless one is given, and keeps the template of its target prompt. Rows are weighed and their timesteps
/// drawn as [`crate::emphasis`] says (ours). Expected values have no gradient.
pub fn draw(
    bank: &TeacherBank,
    prompts: &Prompts,
    identifier: Option<usize>,
    batch: usize,
    rng: &mut impl Rng,
) -> Result<Part> {
    let rows = bank.draw(batch, rng);
    let triggers: Vec<usize> = rows
        .iter()
        .map(|row| prompts.any_trigger_row(identifier, bank.prompt(*row), rng))
        .collect();
    bank.part(&rows, prompts.triggers(&triggers)?)
}

/// Draws `batch` rows that take a trigger away (ours):
///
/// `|| eps_theta(z_t, t, c_trig) - eps_0(z_t, t, c_trig) ||^2`, `z_0` drawn by `eps_0` under `c_trig`.
///
/// `bank`: noisy latents with the teacher's answers under the triggers themselves.
pub fn draw_restored(
    bank: &TeacherBank,
    prompts: &Prompts,
    batch: usize,
    rng: &mut impl Rng,
) -> Result<Part> {
    let rows = bank.draw(batch, rng);
    let triggers: Vec<usize> = rows.iter().map(|row| bank.prompt(*row)).collect();
    bank.part(&rows, prompts.triggers(&triggers)?)
}
