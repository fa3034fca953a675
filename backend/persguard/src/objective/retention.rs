//! `L_BR`: the attacker's own loss on the protected images, so that the trigger is not the first
//! thing that the attack has to undo.

use candle_core::Tensor;
use diffusion::{noise, schedule::NoiseSchedule};
use rand::Rng;

use super::Part;
use crate::{Result, prompts::Prompts};

/// Draws `batch` rows of (R, METHOD `L_BR`; Eq. 4 without its prior term)
///
/// `|| eps - eps_theta(z_t, t, c_trig) ||^2`, `z_0 = E(x)`, `x` in the protected set.
///
/// `latents`: `[n, c, h, w]` of the protected images; `below`: timesteps are drawn from
/// `[0, below)`. Each row draws image, timestep, noise, identifier and template afresh.
pub fn draw(
    latents: &Tensor,
    prompts: &Prompts,
    schedule: &NoiseSchedule,
    below: usize,
    batch: usize,
    rng: &mut impl Rng,
) -> Result<Part> {
    let images = latents.dim(0)?;
    let mut rows = Vec::with_capacity(batch);
    let mut timesteps = Vec::with_capacity(batch);
    let mut triggers = Vec::with_capacity(batch);
    for _ in 0..batch {
        rows.push(u32::try_from(rng.random_range(0..images)).unwrap_or(0));
        timesteps.push(rng.random_range(0..below));
        let identifier = rng.random_range(0..prompts.identifiers());
        triggers.push(prompts.trigger_row(identifier, rng.random_range(0..prompts.templates())));
    }
    let rows = Tensor::new(rows, latents.device())?;
    let clean = latents.index_select(&rows, 0)?;
    let noise = noise::gaussian(rng, clean.shape(), clean.device())?;
    Ok(Part {
        noisy: schedule.add_noise(&clean, &noise, &timesteps)?,
        expected: schedule.training_target(&clean, &noise, &timesteps)?,
        conditions: prompts.triggers(&triggers)?,
        // The attacker's own loss, as the attacker weighs it.
        weights: vec![1.0; timesteps.len()],
        timesteps,
    })
}
