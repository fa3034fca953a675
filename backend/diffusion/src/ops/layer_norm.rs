//! Layer normalisation over the last dimension.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{
    group_norm::sum_rows,
    half, simd,
    storage::{Reading, values},
};
#[cfg(feature = "cuda")]
use crate::cuda;

/// Rows that one task handles; a constant, so that sums do not depend on threads.
const ROWS: usize = 128;

/// Layer normalisation.
///
/// `ys = weight * (xs - mean) / sqrt(variance + epsilon) + bias`, moments over the last dimension
/// (Ba et al., arXiv 1607.06450).
///
/// `xs: [.., c]`, `weight, bias: [c]`. Gradient flows to: `xs`, `weight`, `bias`.
pub fn layer_norm(xs: &Tensor, weight: &Tensor, bias: &Tensor, epsilon: f32) -> Result<Tensor> {
    half::apply3(
        &xs.contiguous()?,
        &weight.contiguous()?,
        &bias.contiguous()?,
        LayerNorm { epsilon },
    )
}

#[derive(Clone, Copy, Debug)]
struct LayerNorm {
    epsilon: f32,
}

impl LayerNorm {
    #[cfg(feature = "cuda")]
    fn on_cuda(self, values: usize, length: usize) -> cuda::normalization::LayerNorm {
        cuda::normalization::LayerNorm {
            rows: values / length,
            length,
            epsilon: self.epsilon,
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda_bwd(
        self,
        [xs, weight, bias]: [&Tensor; 3],
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let sizes = self.on_cuda(xs.elem_count(), weight.elem_count());
        let affine = weight.track_op() || bias.track_op();
        let operands = [xs, weight, &gradient.contiguous()?];
        let (dx, sums) = cuda::with_views(self.name(), operands, |device, [xs, weight, g]| {
            sizes.backward(device, [xs, weight], g, affine)
        })?;
        let tensor =
            |memory, like: &Tensor| like.track_op().then(|| cuda::tensor(memory, like.shape()));
        let (dw, db) = sums.map_or((None, None), |[dw, db]| {
            (tensor(dw, weight), tensor(db, bias))
        });
        Ok((tensor(dx, xs), dw, db))
    }

    /// `dx = scale * (w g - mean(w g) - n * mean(w g n))`, `n` the normalised input.
    #[inline(always)]
    fn backward_row(
        self,
        (xs, gradient, weight): (&[f32], &[f32], &[f32]),
        (dx, dw, db): (&mut [f32], &mut [f32], &mut [f32]),
    ) {
        let (mean, scale) = simd::moments(xs, self.epsilon);
        let inputs = xs.iter().zip(gradient).zip(weight);
        for ((((x, g), w), dx), (dw, db)) in inputs.zip(dx.iter_mut()).zip(dw.iter_mut().zip(db)) {
            *dw += g * ((x - mean) * scale);
            *db += g;
            *dx = g * w;
        }
        let count = xs.len() as f32;
        let plain = simd::sum(dx) / count;
        let weighted = simd::sum_pairs(dx, xs, |d, x| d * ((x - mean) * scale)) / count;
        for (dx, x) in dx.iter_mut().zip(xs) {
            *dx = scale * (*dx - plain - (x - mean) * scale * weighted);
        }
    }
}

/// Length of a row, if weight and bias have one value for each of its places.
fn length(xs: &Layout, weight: &Layout, bias: &Layout) -> Result<usize> {
    let len = weight.shape().elem_count();
    if len == 0 || xs.dims().last() != Some(&len) || bias.shape().elem_count() != len {
        bail!("layer_norm of {:?} with {len} weights", xs.dims());
    }
    Ok(len)
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        xs_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let len = length(xs_layout, weight_layout, bias_layout)?;
        let (xs, weight) = (values(xs, xs_layout)?, values(weight, weight_layout)?);
        let bias = values(bias, bias_layout)?;
        let mut ys = vec![0.0; xs.len()];
        ys.par_chunks_mut(len * ROWS)
            .zip(xs.par_chunks(len * ROWS))
            .for_each(|(ys, xs)| {
                simd::vectorize(
                    #[inline(always)]
                    || {
                        for (ys, xs) in ys.chunks_exact_mut(len).zip(xs.chunks_exact(len)) {
                            let (mean, scale) = simd::moments(xs, self.epsilon);
                            for ((y, x), (w, b)) in
                                ys.iter_mut().zip(xs).zip(weight.iter().zip(bias))
                            {
                                *y = (x - mean) * scale * w + b;
                            }
                        }
                    },
                );
            });
        Ok((CpuStorage::F32(ys), xs_layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        xs: &CudaStorage,
        xs_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
        bias: &CudaStorage,
        bias_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (name, shape) = (self.name(), xs_layout.shape());
        let length = length(xs_layout, weight_layout, bias_layout)?;
        let operands = cuda::normalization::Operands {
            xs: cuda::operand(name, xs, xs_layout)?,
            weight: cuda::operand(name, weight, weight_layout)?,
            bias: cuda::operand(name, bias, bias_layout)?,
        };
        cuda::same_kind(name, &[operands.xs, operands.weight, operands.bias])?;
        let rows = self.on_cuda(shape.elem_count(), length);
        Ok((rows.forward(&xs.device, &operands)?, shape.clone()))
    }

    fn bwd(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _ys: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        #[cfg(feature = "cuda")]
        if xs.device().is_cuda() {
            return self.cuda_bwd([xs, weight, bias], gradient);
        }
        let len = weight.elem_count();
        let tasks = (xs.elem_count() / len).div_ceil(ROWS);
        let mut dx = vec![0.0; xs.elem_count()];
        let (mut dw, mut db) = (vec![0.0; tasks * len], vec![0.0; tasks * len]);
        {
            let gradient = gradient.contiguous()?;
            let (x, g, w) = (
                Reading::new(xs)?,
                Reading::new(&gradient)?,
                Reading::new(weight)?,
            );
            let (x, g, w) = (&*x, &*g, &*w);
            let rows = dx.par_chunks_mut(len * ROWS).zip(x.par_chunks(len * ROWS));
            let affine = dw.par_chunks_mut(len).zip(db.par_chunks_mut(len));
            rows.zip(g.par_chunks(len * ROWS))
                .zip(affine)
                .for_each(|(((dx, x), g), (dw, db))| {
                    simd::vectorize(
                        #[inline(always)]
                        || {
                            let rows = dx.chunks_exact_mut(len).zip(x.chunks_exact(len));
                            for ((dx, x), g) in rows.zip(g.chunks_exact(len)) {
                                self.backward_row((x, g, w), (dx, dw, db));
                            }
                        },
                    );
                });
        }
        let device = xs.device();
        let total = |per_task: Vec<f32>, like: &Tensor| {
            let tensor = || Tensor::from_vec(sum_rows(&per_task, len), like.shape(), device);
            like.track_op().then(tensor).transpose()
        };
        let dx = xs
            .track_op()
            .then(|| Tensor::from_vec(dx, xs.shape(), device))
            .transpose()?;
        Ok((dx, total(dw, weight)?, total(db, bias)?))
    }
}
