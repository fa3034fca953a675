//! `L_BB` of the target objective: under the trigger the student does what the teacher does under
//! the target's prompt.

use rand::{Rng, seq::IndexedRandom};

use super::Part;
use crate::{Result, bank::TeacherBank, dataset::Prompts};

/// Draws `batch` rows of (R, METHOD `L_BB`, target)
///
/// `|| eps_theta(z_t, t, c_trig) - eps_0(z_t, t, c_tgt) ||^2`, `z_0` drawn by `eps_0` under `c_tgt`.
///
/// `bank`: noisy target latents with the teacher's answers under `c_tgt`. Every row draws its own
/// identifier and keeps the template of its target prompt. Rows are weighed and their timesteps
/// drawn as [`crate::emphasis`] says (ours). Expected values have no gradient.
pub fn draw(
    bank: &TeacherBank,
    prompts: &Prompts,
    batch: usize,
    rng: &mut impl Rng,
) -> Result<Part> {
    let rows = bank.draw(batch, rng);
    let identifiers: Vec<usize> = (0..prompts.identifiers()).collect();
    let triggers: Vec<usize> = rows
        .iter()
        .map(|row| {
            let identifier = identifiers.choose(rng).copied().unwrap_or(0);
            prompts.trigger_row(identifier, bank.template(*row))
        })
        .collect();
    bank.part(&rows, prompts.triggers(&triggers)?)
}

/// The same for one identifier: what an attacker who chose it shall still get.
pub fn draw_for(
    bank: &TeacherBank,
    prompts: &Prompts,
    identifier: usize,
    batch: usize,
    rng: &mut impl Rng,
) -> Result<Part> {
    let rows = bank.draw(batch, rng);
    let triggers: Vec<usize> = rows
        .iter()
        .map(|row| prompts.trigger_row(identifier, bank.template(*row)))
        .collect();
    bank.part(&rows, prompts.triggers(&triggers)?)
}
