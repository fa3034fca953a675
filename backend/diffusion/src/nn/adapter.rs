//! Low-rank corrections of layers (Hu et al., arXiv 2106.09685).

use candle_core::Tensor;

use super::like;
use crate::{Error, Result, ops, weights::Weights};

/// Names of the tensors of a correction, after the name of the layer.
pub(crate) const DOWN: &str = ".lora_A.weight";
pub(crate) const UP: &str = ".lora_B.weight";
pub(crate) const SCALE: &str = ".lora_scale";

/// Adds `scale * up(down(xs))` to what a layer gives.
#[derive(Clone, Debug)]
pub(crate) struct Adapter {
    down: Tensor,
    up: Tensor,
    scale: f64,
}

impl Adapter {
    /// The correction of `layer`, whose weight is `[outputs, inputs, ..]`, where `weights` has one.
    pub(super) fn find(weights: &Weights, layer: &str, shape: &[usize]) -> Result<Option<Self>> {
        let Some(down) = weights.get(&format!("{layer}{DOWN}")) else {
            return Ok(None);
        };
        let rank = down.dims().first().copied().unwrap_or(0);
        let wide = |name: &str, expected: Vec<usize>| {
            let name = format!("{layer}{name}");
            match weights.get(&name) {
                None => Err(Error::MissingTensor { name, expected }),
                Some(tensor) if tensor.dims() == expected => Ok(tensor.clone()),
                Some(tensor) => Err(Error::ShapeMismatch {
                    name,
                    expected,
                    actual: tensor.dims().to_vec(),
                }),
            }
        };
        let (down_shape, up_shape) = shapes(shape, rank);
        let scale = wide(SCALE, vec![])?;
        Ok(Some(Self {
            down: wide(DOWN, down_shape)?,
            up: wide(UP, up_shape)?,
            scale: f64::from(scale.to_scalar::<f32>()?),
        }))
    }

    /// The correction of a linear layer: `xs: [.., i]`; result `[.., o]`.
    ///
    /// Gradient flows to: `xs`, `down`, `up`.
    pub(super) fn linear(&self, xs: &Tensor) -> Result<Tensor> {
        let flat = |tensor: &Tensor| Ok::<_, Error>(like(xs, tensor)?.flatten_from(1)?);
        let hidden = (ops::linear(xs, &flat(&self.down)?, None)? * self.scale)?;
        Ok(ops::linear(&hidden, &flat(&self.up)?, None)?)
    }

    /// The correction of a convolution: the layer's kernel to `rank` channels, then a 1x1 kernel.
    ///
    /// Gradient flows to: `xs`, `down`, `up`.
    pub(super) fn convolution(&self, xs: &Tensor, stride: usize, padding: usize) -> Result<Tensor> {
        let hidden = ops::conv2d(xs, &like(xs, &self.down)?, None, stride, padding)?;
        let hidden = (hidden * self.scale)?;
        Ok(ops::conv2d(&hidden, &like(xs, &self.up)?, None, 1, 0)?)
    }
}

/// Shapes of `down` and `up` for a weight `[outputs, inputs, ..]`.
pub(crate) fn shapes(weight: &[usize], rank: usize) -> (Vec<usize>, Vec<usize>) {
    let (mut down, mut up) = (weight.to_vec(), vec![1; weight.len()]);
    down[0] = rank;
    (up[0], up[1]) = (weight[0], rank);
    (down, up)
}
