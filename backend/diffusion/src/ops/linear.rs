//! Linear layers: one matrix product over all rows.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{
    gemm::{Matrix, MatrixMut, Write, gemm},
    group_norm::sum_rows,
    half, simd,
    storage::{Reading, values, with_scratch},
};
#[cfg(feature = "cuda")]
use crate::cuda;

/// Most rows that one task handles.
const ROWS: usize = 512;

/// Fewest rows that are worth a task of their own.
const FEWEST_ROWS: usize = 64;

/// Tasks of one product, where its sizes allow; a constant, so that results do not depend on
/// threads.
const TASKS: usize = 4;

/// Output channels of a task are a multiple of this: whole registers, whole lines of the cache.
const CHANNELS: usize = 16;

/// Rows of one task: equal shares, because with two threads the larger one is what is waited for.
fn share(rows: usize) -> usize {
    let tasks = TASKS
        .max(rows.div_ceil(ROWS))
        .min(rows.div_ceil(FEWEST_ROWS));
    rows.div_ceil(tasks.max(1)).max(1)
}

/// Affine map of the last dimension.
///
/// `ys = xs * weight^T + bias`. `xs: [.., i]`, `weight: [o, i]`, `bias: [o]`; result `[.., o]`.
/// Gradient flows to: `xs`, `weight`, `bias`.
pub fn linear(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (xs, weight) = (xs.contiguous()?, weight.contiguous()?);
    match bias {
        Some(bias) => half::apply3(&xs, &weight, &bias.contiguous()?, Linear),
        None => half::apply2(&xs, &weight, Linear),
    }
}

#[derive(Clone, Copy, Debug)]
struct Linear;

impl Linear {
    fn forward(
        (xs, xs_layout): (&CpuStorage, &Layout),
        (weight, weight_layout): (&CpuStorage, &Layout),
        bias: Option<&[f32]>,
    ) -> Result<(CpuStorage, Shape)> {
        let (inputs, outputs, shape) =
            Self::sizes(xs_layout, weight_layout, bias.map(<[f32]>::len))?;
        let (xs, weight) = (values(xs, xs_layout)?, values(weight, weight_layout)?);
        let rows = xs.len() / inputs;
        let ys = if rows < TASKS * FEWEST_ROWS && outputs >= 2 * CHANNELS {
            by_channels(xs, weight, bias, outputs)
        } else {
            by_rows(xs, weight, bias, outputs)
        };
        Ok((CpuStorage::F32(ys), shape))
    }

    /// Inputs, outputs, and the shape of the result.
    fn sizes(xs: &Layout, weight: &Layout, biases: Option<usize>) -> Result<(usize, usize, Shape)> {
        let (outputs, inputs) = weight.shape().dims2()?;
        let mut dims = xs.dims().to_vec();
        let fits = biases.is_none_or(|biases| biases == outputs) && inputs * outputs > 0;
        let Some(last) = dims.last_mut().filter(|last| **last == inputs && fits) else {
            bail!("linear of {:?} with {:?}", xs.dims(), weight.dims());
        };
        *last = outputs;
        Ok((inputs, outputs, Shape::from(dims)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_forward(
        (xs, xs_layout): (&CudaStorage, &Layout),
        (weight, weight_layout): (&CudaStorage, &Layout),
        bias: Option<(&CudaStorage, &Layout)>,
    ) -> Result<(CudaStorage, Shape)> {
        let biases = bias.map(|(_, layout)| layout.shape().elem_count());
        let (inputs, outputs, shape) = Self::sizes(xs_layout, weight_layout, biases)?;
        let operand = |storage, layout| cuda::operand("linear", storage, layout);
        let (x, w) = (operand(xs, xs_layout)?, operand(weight, weight_layout)?);
        let bias = bias
            .map(|(storage, layout)| operand(storage, layout))
            .transpose()?;
        cuda::same_kind("linear", &[x, w, bias.unwrap_or(w)])?;
        let sizes = cuda::linear::Linear {
            rows: shape.elem_count() / outputs,
            inputs,
            outputs,
        };
        Ok((sizes.forward(&xs.device, x, w, bias)?, shape))
    }

    #[cfg(feature = "cuda")]
    fn cuda_backward(
        xs: &Tensor,
        weight: &Tensor,
        gradient: &Tensor,
        with_bias: bool,
    ) -> Result<[Option<Tensor>; 3]> {
        let (outputs, inputs) = weight.dims2()?;
        let rows = xs.elem_count() / inputs;
        let sizes = cuda::linear::Linear {
            rows,
            inputs,
            outputs,
        };
        cuda::with_views("linear", [xs, weight, gradient], |device, [x, w, g]| {
            let dx = xs.track_op().then(|| sizes.input_gradient(device, g, w));
            let dw = weight
                .track_op()
                .then(|| sizes.weight_gradient(device, g, x));
            let db = with_bias.then(|| sizes.bias_gradient(device, g));
            Ok([
                dx.transpose()?.map(|dx| cuda::tensor(dx, xs.shape())),
                dw.transpose()?.map(|dw| cuda::tensor(dw, weight.shape())),
                db.transpose()?.map(|db| cuda::tensor(db, outputs)),
            ])
        })
    }

    fn backward(
        xs: &Tensor,
        weight: &Tensor,
        gradient: &Tensor,
        with_bias: bool,
    ) -> Result<[Option<Tensor>; 3]> {
        let (outputs, _) = weight.dims2()?;
        let gradient = gradient.contiguous()?;
        #[cfg(feature = "cuda")]
        if xs.device().is_cuda() {
            return Self::cuda_backward(xs, weight, &gradient, with_bias);
        }
        let device = xs.device();
        let (dx, dw, db) = {
            let (x, w, g) = (
                Reading::new(xs)?,
                Reading::new(weight)?,
                Reading::new(&gradient)?,
            );
            (
                xs.track_op().then(|| input_gradient(&g, &w, outputs)),
                weight.track_op().then(|| weight_gradient(&x, &g, outputs)),
                with_bias.then(|| column_sums(&g, outputs)),
            )
        };
        let tensor = |values: Option<Vec<f32>>, shape: &Shape| {
            values
                .map(|values| Tensor::from_vec(values, shape, device))
                .transpose()
        };
        Ok([
            tensor(dx, xs.shape())?,
            tensor(dw, weight.shape())?,
            tensor(db, &Shape::from(outputs))?,
        ])
    }
}

/// The forward pass, cut into rows.
fn by_rows(xs: &[f32], weight: &[f32], bias: Option<&[f32]>, outputs: usize) -> Vec<f32> {
    let inputs = weight.len() / outputs;
    let rows = xs.len() / inputs;
    let mut ys = bias.map_or_else(|| vec![0.0; rows * outputs], |bias| bias.repeat(rows));
    let write = bias.map_or(Write::Replace, |_| Write::Add);
    let kernel = Matrix::new(weight, outputs, inputs).transposed();
    ys.par_chunks_mut(share(rows) * outputs)
        .zip(xs.par_chunks(share(rows) * inputs))
        .for_each(|(ys, xs)| {
            let xs = Matrix::new(xs, xs.len() / inputs, inputs);
            gemm(write, MatrixMut::strided(ys, outputs), 1.0, xs, kernel);
        });
    ys
}

/// The forward pass of few rows, cut into output channels: each task reads its part of the weight
/// once, and the weight is what takes the time.
fn by_channels(xs: &[f32], weight: &[f32], bias: Option<&[f32]>, outputs: usize) -> Vec<f32> {
    let inputs = weight.len() / outputs;
    let rows = xs.len() / inputs;
    let block = outputs.div_ceil(TASKS).next_multiple_of(CHANNELS);
    let xs = Matrix::new(xs, rows, inputs);
    let mut ys = vec![0.0; rows * outputs];
    with_scratch(rows * outputs, |blocks| {
        blocks
            .par_chunks_mut(rows * block)
            .zip(weight.par_chunks(block * inputs))
            .for_each(|(ys, weight)| {
                let taken = weight.len() / inputs;
                let kernel = Matrix::new(weight, taken, inputs).transposed();
                gemm(
                    Write::Replace,
                    MatrixMut::strided(ys, taken),
                    1.0,
                    xs,
                    kernel,
                );
            });
        for (index, part) in blocks.chunks(rows * block).enumerate() {
            let (first, taken) = (index * block, part.len() / rows);
            for (ys, part) in ys.chunks_exact_mut(outputs).zip(part.chunks_exact(taken)) {
                ys[first..][..taken].copy_from_slice(part);
            }
        }
    });
    if let Some(bias) = bias {
        ys.chunks_exact_mut(outputs)
            .for_each(|ys| simd::add_to(ys, bias));
    }
    ys
}

/// `gradient * weight`.
fn input_gradient(gradient: &[f32], weight: &[f32], outputs: usize) -> Vec<f32> {
    let inputs = weight.len() / outputs;
    let mut dx = vec![0.0; gradient.len() / outputs * inputs];
    let weight = Matrix::new(weight, outputs, inputs);
    let rows = share(gradient.len() / outputs);
    dx.par_chunks_mut(rows * inputs)
        .zip(gradient.par_chunks(rows * outputs))
        .for_each(|(dx, gradient)| {
            let gradient = Matrix::new(gradient, gradient.len() / outputs, outputs);
            gemm(
                Write::Replace,
                MatrixMut::strided(dx, inputs),
                1.0,
                gradient,
                weight,
            );
        });
    dx
}

/// `gradient^T * xs`, cut by output row: each row is summed by one product.
fn weight_gradient(xs: &[f32], gradient: &[f32], outputs: usize) -> Vec<f32> {
    let rows = gradient.len() / outputs;
    let inputs = xs.len() / rows;
    let xs = Matrix::new(xs, rows, inputs);
    let block = outputs.div_ceil(TASKS).next_multiple_of(8);
    let mut dw = vec![0.0; outputs * inputs];
    dw.par_chunks_mut(block * inputs)
        .enumerate()
        .for_each(|(index, dw)| {
            let taken = dw.len() / inputs;
            let gradient = Matrix::strided(&gradient[index * block..], rows, taken, outputs);
            gemm(
                Write::Replace,
                MatrixMut::strided(dw, inputs),
                1.0,
                gradient.transposed(),
                xs,
            );
        });
    dw
}

/// Sum over rows, the shares first.
fn column_sums(gradient: &[f32], outputs: usize) -> Vec<f32> {
    let share = share(gradient.len() / outputs) * outputs;
    let mut parts = vec![0.0; gradient.len().div_ceil(share) * outputs];
    parts
        .par_chunks_mut(outputs)
        .zip(gradient.par_chunks(share))
        .for_each(|(sums, gradient)| {
            simd::vectorize(
                #[inline(always)]
                || {
                    for row in gradient.chunks_exact(outputs) {
                        simd::add_to(sums, row);
                    }
                },
            );
        });
    sum_rows(&parts, outputs)
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        xs_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Self::forward((xs, xs_layout), (weight, weight_layout), None)
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        xs: &CudaStorage,
        xs_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        Self::cuda_forward((xs, xs_layout), (weight, weight_layout), None)
    }

    fn bwd(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        _ys: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [xs, weight, _] = Self::backward(xs, weight, gradient, false)?;
        Ok((xs, weight))
    }
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
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
        let bias = values(bias, bias_layout)?;
        Self::forward((xs, xs_layout), (weight, weight_layout), Some(bias))
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
        let bias = Some((bias, bias_layout));
        Self::cuda_forward((xs, xs_layout), (weight, weight_layout), bias)
    }

    fn bwd(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _ys: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [xs, weight, bias] = Self::backward(xs, weight, gradient, bias.track_op())?;
        Ok((xs, weight, bias))
    }
}
