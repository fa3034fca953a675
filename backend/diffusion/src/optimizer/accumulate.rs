//! Summing the gradients of micro-batches.

use candle_core::{CpuStorage, InplaceOp1, Layout, backprop::GradStore};
use rayon::prelude::*;

use super::{BLOCK, values_mut};
use crate::{Result, ops::Reading, weights::Parameters};

/// A weighted sum of gradients, `sum_i scale_i * gradients_i`.
///
/// With `scale_i = micro_batch_i / batch` and losses that are means over their micro-batch, the
/// sum is the gradient of the mean over the whole batch, in the memory of one micro-batch.
#[derive(Debug, Default)]
pub struct Accumulator {
    sum: GradStore,
}

impl Accumulator {
    /// The sum of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `scale` times the gradients of `parameters`; gradients of other tensors are dropped.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a factor of f32 arithmetic"
    )]
    pub fn add(
        &mut self,
        parameters: &Parameters,
        gradients: &mut GradStore,
        scale: f64,
    ) -> Result<()> {
        for (_, variable) in parameters.iter() {
            let Some(gradient) = gradients.remove(variable) else {
                continue;
            };
            let Some(sum) = self.sum.get(variable) else {
                // A product is a new tensor, so that the sums below overwrite no one else's.
                let product = gradient.contiguous()?.affine(scale, 0.0)?;
                self.sum.insert(variable, product);
                continue;
            };
            if !gradient.device().is_cpu() {
                let total = (sum + gradient.affine(scale, 0.0)?)?;
                self.sum.insert(variable, total);
                continue;
            }
            let gradient = gradient.contiguous()?;
            let terms = Reading::new(&gradient)?;
            sum.inplace_op1(&AddScaled {
                scale: scale as f32,
                terms: &terms,
            })?;
        }
        Ok(())
    }

    /// The sum.
    pub fn finish(self) -> GradStore {
        self.sum
    }
}

struct AddScaled<'a> {
    scale: f32,
    terms: &'a [f32],
}

impl InplaceOp1 for AddScaled<'_> {
    fn name(&self) -> &'static str {
        "add_scaled"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        values_mut(storage, layout)?
            .par_chunks_mut(BLOCK)
            .zip(self.terms.par_chunks(BLOCK))
            .for_each(|(sums, terms)| {
                for (sum, term) in sums.iter_mut().zip(terms) {
                    *sum += self.scale * term;
                }
            });
        Ok(())
    }
}
