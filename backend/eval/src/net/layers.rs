//! Layers that the networks share. No gradients are needed; the substrate's operators have them all the same.

use candle_core::{D, Tensor};
use diffusion::{Result, ops};

use super::read::Reader;

/// A linear layer, `[outputs, inputs]`.
#[derive(Clone, Debug)]
pub(super) struct Dense {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Dense {
    pub(super) fn new(reader: &Reader<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self {
            weight: reader.tensor("weight", &[outputs, inputs])?,
            bias: Some(reader.tensor("bias", &[outputs])?),
        })
    }

    pub(super) fn without_bias(reader: &Reader<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self {
            weight: reader.tensor("weight", &[outputs, inputs])?,
            bias: None,
        })
    }

    /// Of a convolution whose stride is its kernel.
    pub(super) fn of_patches(weight: &Tensor, bias: Option<Tensor>) -> Result<Self> {
        Ok(Self {
            weight: weight.flatten_from(1)?,
            bias,
        })
    }

    pub(super) fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        Ok(ops::linear(xs, &self.weight, self.bias.as_ref())?)
    }
}

/// Layer normalisation.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f32,
}

impl Norm {
    pub(super) fn new(reader: &Reader<'_>, channels: usize, epsilon: f32) -> Result<Self> {
        Ok(Self {
            weight: reader.tensor("weight", &[channels])?,
            bias: reader.tensor("bias", &[channels])?,
            epsilon,
        })
    }

    pub(super) fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        Ok(ops::layer_norm(xs, &self.weight, &self.bias, self.epsilon)?)
    }
}

/// Rows of length 1.
pub(super) fn normalised(xs: &Tensor) -> Result<Tensor> {
    let length = (xs.sqr()?.sum_keepdim(D::Minus1)? + 1e-12)?.sqrt()?;
    Ok(xs.broadcast_div(&length)?)
}
