//! Exponential moving average of weights.

use candle_core::{CpuStorage, InplaceOp1, Layout};
use rayon::prelude::*;

use super::{BLOCK, values_mut};
#[cfg(feature = "cuda")]
use crate::cuda::optimizer;
use crate::{
    Result,
    ops::Reading,
    weights::{Parameters, Weights},
};

/// `average = decay * average + (1 - decay) * parameters`, in place, without warm-up.
#[derive(Clone, Debug)]
pub struct Ema {
    decay: f32,
    average: Weights,
}

impl Ema {
    /// Starts at the present parameters.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a factor of f32 arithmetic"
    )]
    pub fn new(decay: f64, parameters: &Parameters) -> Self {
        Self {
            decay: decay as f32,
            average: parameters.snapshot(),
        }
    }

    /// Continues from an average that was saved.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a factor of f32 arithmetic"
    )]
    pub fn from_weights(decay: f64, average: &Weights) -> Self {
        Self {
            decay: decay as f32,
            average: average.deep_copy(),
        }
    }

    /// Moves the average towards the parameters.
    pub fn update(&mut self, parameters: &Parameters) -> Result<()> {
        for (name, average) in self.average.iter() {
            if let Some(variable) = parameters.get(name) {
                #[cfg(feature = "cuda")]
                if variable.device().is_cuda() {
                    let operands = [average, variable.as_tensor()];
                    crate::cuda::with_views("ema", operands, |device, [average, target]| {
                        let total = variable.elem_count();
                        optimizer::approach(device, average, target, self.decay, total)
                    })?;
                    continue;
                }
                let target = Reading::new(variable)?;
                average.inplace_op1(&Approach {
                    keep: self.decay,
                    target: &target,
                })?;
            }
        }
        Ok(())
    }

    /// A copy of the present average.
    pub fn weights(&self) -> Weights {
        self.average.deep_copy()
    }
}

struct Approach<'a> {
    keep: f32,
    target: &'a [f32],
}

impl InplaceOp1 for Approach<'_> {
    fn name(&self) -> &'static str {
        "ema"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let values = values_mut(storage, layout)?;
        values
            .par_chunks_mut(BLOCK)
            .zip(self.target.par_chunks(BLOCK))
            .for_each(|(values, target)| {
                pulp::Arch::new().dispatch(
                    #[inline(always)]
                    || {
                        for (value, target) in values.iter_mut().zip(target) {
                            *value += (1.0 - self.keep) * (target - *value);
                        }
                    },
                );
            });
        Ok(())
    }
}
