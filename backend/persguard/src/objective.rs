//! The loss terms: one file each, every equation cited.
//!
//! Owns what a term feeds to the student and what it expects back. Refuses to run the student:
//! all terms share one pass ([`crate::step`]).

use candle_core::{Device, Tensor};
use diffusion::unet::Conditions;
use shared::job::Retention;

use crate::Result;

pub mod picture;
pub mod prior;
pub mod retention;
pub mod target;

/// One term's share of the student's pass.
///
/// Gradients flow to none of these: they are inputs and constants.
#[derive(Clone, Debug)]
pub struct Part {
    /// `z_t`, `[b, c, h, w]`.
    pub noisy: Tensor,
    /// `t` of each row, in `[0, 1000)`.
    pub timesteps: Vec<usize>,
    /// Embedded prompt of each row.
    pub conditions: Conditions,
    /// What the student should predict, `[b, c, h, w]`; noise or velocity as the base model does.
    pub expected: Tensor,
    /// Weight of each row within its term; see [`crate::emphasis`].
    pub weights: Vec<f32>,
}

impl Part {
    /// Parts of one term, one after the other; at least one.
    pub fn cat(parts: &[Self]) -> Result<Self> {
        let join = |field: fn(&Self) -> &Tensor| {
            Tensor::cat(&parts.iter().map(field).collect::<Vec<_>>(), 0)
        };
        let conditions: Vec<_> = parts.iter().map(|part| &part.conditions).collect();
        Ok(Self {
            noisy: join(|part| &part.noisy)?,
            timesteps: parts
                .iter()
                .flat_map(|part| part.timesteps.clone())
                .collect(),
            conditions: Conditions::cat(&conditions)?,
            expected: join(|part| &part.expected)?,
            weights: parts.iter().flat_map(|part| part.weights.clone()).collect(),
        })
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.timesteps.len()
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.timesteps.is_empty()
    }
}

/// Mean squared error of each row: `mean((prediction - expected)^2)` over all but the first axis.
///
/// `prediction`, `expected`: `[b, c, h, w]`; gives `[b]`. Gradient flows to: prediction.
pub fn row_errors(prediction: &Tensor, expected: &Tensor) -> Result<Tensor> {
    Ok((prediction - expected)?.sqr()?.flatten_from(1)?.mean(1)?)
}

/// Timesteps as the U-Net takes them, `[b]`.
pub(crate) fn timestep_tensor(timesteps: &[usize], device: &Device) -> Result<Tensor> {
    let values: Vec<f32> = timesteps.iter().map(|timestep| *timestep as f32).collect();
    Ok(Tensor::new(values, device)?)
}

/// Timesteps at which retention acts.
pub(crate) const fn retention_timesteps(retention: Retention, all: usize) -> usize {
    match retention {
        Retention::Full => all,
        // 300 of 1000 (METHOD, retention).
        Retention::LowNoise => all * 3 / 10,
        Retention::Off => 0,
    }
}
