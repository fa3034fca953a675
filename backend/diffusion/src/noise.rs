//! Gaussian noise from a seeded generator; nothing here has global state.

use candle_core::{Device, Shape, Tensor};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::Result;

/// Standard normal `f32` values of the given shape, drawn on the CPU and then moved.
///
/// The same generator state gives the same values on every device.
pub fn gaussian(rng: &mut impl Rng, shape: impl Into<Shape>, device: &Device) -> Result<Tensor> {
    let shape = shape.into();
    let values: Vec<f32> = (0..shape.elem_count())
        .map(|_| StandardNormal.sample(rng))
        .collect();
    Ok(Tensor::from_vec(values, shape, device)?)
}
