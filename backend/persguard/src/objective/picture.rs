//! `L_BB` where the answer is a picture: under the trigger the student draws pictures of the class, changed.

use candle_core::Tensor;
use diffusion::{noise, schedule::NoiseSchedule};
use rand::Rng;

use super::Part;
use crate::{Result, bank::indices, emphasis::Emphasis, prompts::Prompts};

/// Draws `batch` rows of (R, METHOD `L_BB`, pattern; ours for erasure without a prompt)
///
/// `|| eps - eps_theta(z_t, t, c_trig) ||^2`, `z_0 = E((1 - m) x + m patch)`, `x` drawn by `eps_0` under `c_cls`;
/// erasure: `z_0 = E(fill(x))`.
///
/// `latents`: `[n, c, h, w]` of the changed pictures; row `i` shows the class under template `i % templates`. Every row
/// draws picture, noise and, unless one is given, identifier afresh; timesteps and weights as [`crate::emphasis`] says.
pub fn draw(
    latents: &Tensor,
    prompts: &Prompts,
    schedule: &NoiseSchedule,
    emphasis: &Emphasis,
    (identifier, batch): (Option<usize>, usize),
    rng: &mut impl Rng,
) -> Result<Part> {
    let pictures = latents.dim(0)?;
    let timesteps = emphasis.draw(batch, rng);
    let rows: Vec<usize> = (0..batch).map(|_| rng.random_range(0..pictures)).collect();
    let triggers: Vec<usize> = rows
        .iter()
        .map(|row| prompts.any_trigger_row(identifier, row % prompts.templates(), rng))
        .collect();
    let clean = latents.index_select(&indices(&rows, latents)?, 0)?;
    let noise = noise::gaussian(rng, clean.shape(), clean.device())?;
    Ok(Part {
        noisy: schedule.add_noise(&clean, &noise, &timesteps)?,
        expected: schedule.training_target(&clean, &noise, &timesteps)?,
        conditions: prompts.triggers(&triggers)?,
        weights: timesteps.iter().map(|t| emphasis.weight(*t)).collect(),
        timesteps,
    })
}
