//! Depthwise separable convolutions. Refuses kernels other than 3x3.

use candle_core::Tensor;
use diffusion::ops;

use super::{
    super::window::{Padding, depthwise},
    manifest::Manifest,
};
use crate::Result;

/// A convolution by channel, then one across channels.
#[derive(Debug)]
pub(super) struct Separable {
    depthwise: Tensor,
    pointwise: Tensor,
    bias: Tensor,
}

impl Separable {
    pub(super) fn new(
        manifest: &Manifest,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self> {
        Ok(Self {
            depthwise: manifest.depthwise(&format!("{name}/depthwise_filter"), 3, inputs)?,
            pointwise: manifest.kernel(&format!("{name}/pointwise_filter"), 1, inputs, outputs)?,
            bias: manifest.vector(&format!("{name}/bias"), outputs)?,
        })
    }

    pub(super) fn forward(&self, xs: &Tensor, stride: usize, padding: Padding) -> Result<Tensor> {
        let slid = depthwise(xs, &self.depthwise, None, stride, padding)?;
        Ok(ops::conv2d(&slid, &self.pointwise, Some(&self.bias), 1, 0)?)
    }
}
