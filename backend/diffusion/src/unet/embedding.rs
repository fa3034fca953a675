//! Embeddings of timesteps and sizes.

use candle_core::{DType, Tensor};

use crate::{
    Result,
    nn::{Bias, Linear, Scope},
    ops::{self, Activation},
};

/// Longest period (Ho et al., arXiv 2006.11239, appendix B).
const MAX_PERIOD: f64 = 10_000.0;

/// Waves of geometrically spaced frequencies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sinusoids {
    pub(super) channels: usize,
    pub(super) cosines_first: bool,
    pub(super) shift: f64,
}

impl Sinusoids {
    /// `values: [n]`; result `[n, channels]`, `f32`.
    pub(super) fn of(&self, values: &Tensor) -> Result<Tensor> {
        let half = self.channels / 2;
        let span = half as f64 - self.shift;
        let frequency = |index: usize| (-MAX_PERIOD.ln() * index as f64 / span).exp();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "tables are f32, as in diffusers"
        )]
        let frequencies: Vec<f32> = (0..half).map(|index| frequency(index) as f32).collect();
        let frequencies = Tensor::from_vec(frequencies, (1, half), values.device())?;
        let angles = values
            .to_dtype(DType::F32)?
            .unsqueeze(1)?
            .broadcast_mul(&frequencies)?;
        let (sines, cosines) = (angles.sin()?, angles.cos()?);
        let waves = if self.cosines_first {
            [cosines, sines]
        } else {
            [sines, cosines]
        };
        Ok(Tensor::cat(&waves, 1)?)
    }
}

/// Two linear layers around an activation.
#[derive(Clone, Debug)]
pub(super) struct Embedding {
    linear1: Linear,
    linear2: Linear,
}

impl Embedding {
    pub(super) fn new(mut scope: Scope<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self {
            linear1: Linear::new(scope.child("linear_1"), inputs, outputs, Bias::With)?,
            linear2: Linear::new(scope.child("linear_2"), outputs, outputs, Bias::With)?,
        })
    }

    /// `xs: [b, inputs]`; result `[b, outputs]`.
    pub(super) fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let hidden = ops::activation(&self.linear1.forward(xs)?, Activation::Silu)?;
        self.linear2.forward(&hidden)
    }
}
