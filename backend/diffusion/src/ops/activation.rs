//! Pointwise activations and the gated one of the transformer blocks.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{
    half, simd,
    storage::{Reading, values},
};
#[cfg(feature = "cuda")]
use crate::cuda;

/// Values that one task handles.
const BLOCK: usize = 1 << 14;

/// A pointwise activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x * sigmoid(x)`.
    Silu,
    /// `x * normal_cdf(x)`, with the error function.
    Gelu,
    /// `x * sigmoid(1.702 x)`, as in CLIP.
    QuickGelu,
}

/// Applies a pointwise activation. Gradient flows to: `xs`.
pub fn activation(xs: &Tensor, kind: Activation) -> Result<Tensor> {
    half::apply1(&xs.contiguous()?, Pointwise(kind))
}

/// Gated GELU over the last dimension (Shazeer, arXiv 2002.05202).
///
/// `ys = a * gelu(g)` where `a` is the first and `g` the second half of the last dimension, GELU
/// with the error function. `xs: [.., 2c]`; result `[.., c]`. Gradient flows to: `xs`.
pub fn geglu(xs: &Tensor) -> Result<Tensor> {
    half::apply1(&xs.contiguous()?, Geglu)
}

/// Slope of the sigmoid in CLIP's approximation of GELU.
const QUICK: f32 = 1.702;

struct Pointwise(Activation);

impl CustomOp1 for Pointwise {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, xs: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let xs = values(xs, layout)?;
        let ys = match self.0 {
            Activation::Silu => map(
                xs,
                #[inline(always)]
                |x| x * simd::sigmoid(x),
            ),
            Activation::Gelu => map(
                xs,
                #[inline(always)]
                |x| x * simd::normal_cdf(x),
            ),
            Activation::QuickGelu => map(
                xs,
                #[inline(always)]
                |x| x * simd::sigmoid(QUICK * x),
            ),
        };
        Ok((CpuStorage::F32(ys), layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, xs: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (view, total) = (
            cuda::operand(self.name(), xs, layout)?,
            layout.shape().elem_count(),
        );
        let ys = cuda::pointwise::activation(&xs.device, self.0, view, total)?;
        Ok((ys, layout.shape().clone()))
    }

    fn bwd(&self, xs: &Tensor, _ys: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        #[cfg(feature = "cuda")]
        if xs.device().is_cuda() {
            let total = xs.elem_count();
            let dx = cuda::with_views(self.name(), [xs, &gradient], |device, [x, g]| {
                cuda::pointwise::activation_gradient(device, self.0, x, g, total)
            })?;
            return Ok(Some(cuda::tensor(dx, xs.shape())));
        }
        let (x, g) = (Reading::new(xs)?, Reading::new(&gradient)?);
        let swish = |slope: f32, x: f32| {
            let s = simd::sigmoid(slope * x);
            s * (1.0 + slope * x * (1.0 - s))
        };
        let dx = match self.0 {
            Activation::Silu => map_pairs(
                &x,
                &g,
                #[inline(always)]
                |x, g| g * swish(1.0, x),
            ),
            Activation::QuickGelu => map_pairs(
                &x,
                &g,
                #[inline(always)]
                |x, g| g * swish(QUICK, x),
            ),
            Activation::Gelu => map_pairs(
                &x,
                &g,
                #[inline(always)]
                |x, g| {
                    let (cdf, density) = simd::normal_cdf_and_density(x);
                    g * (cdf + x * density)
                },
            ),
        };
        Ok(Some(Tensor::from_vec(dx, xs.shape(), xs.device())?))
    }
}

fn map(xs: &[f32], f: impl Fn(f32) -> f32 + Sync) -> Vec<f32> {
    let mut ys = vec![0.0; xs.len()];
    ys.par_chunks_mut(BLOCK)
        .zip(xs.par_chunks(BLOCK))
        .for_each(|(ys, xs)| {
            simd::vectorize(
                #[inline(always)]
                || ys.iter_mut().zip(xs).for_each(|(y, x)| *y = f(*x)),
            );
        });
    ys
}

fn map_pairs(xs: &[f32], gs: &[f32], f: impl Fn(f32, f32) -> f32 + Sync) -> Vec<f32> {
    let mut ys = vec![0.0; xs.len()];
    let blocks = ys
        .par_chunks_mut(BLOCK)
        .zip(xs.par_chunks(BLOCK))
        .zip(gs.par_chunks(BLOCK));
    blocks.for_each(|((ys, xs), gs)| {
        simd::vectorize(
            #[inline(always)]
            || {
                ys.iter_mut()
                    .zip(xs)
                    .zip(gs)
                    .for_each(|((y, x), g)| *y = f(*x, *g));
            },
        );
    });
    ys
}

struct Geglu;

/// Rows that one task handles.
const ROWS: usize = 32;

/// Half of the last dimension, and the shape that has it.
fn halved(layout: &Layout) -> Result<(usize, Shape)> {
    let mut dims = layout.dims().to_vec();
    let Some(last) = dims
        .last_mut()
        .filter(|last| **last > 0 && last.is_multiple_of(2))
    else {
        bail!("geglu halves the last dimension, got {:?}", layout.dims());
    };
    let half = *last / 2;
    *last = half;
    Ok((half, Shape::from(dims)))
}

impl CustomOp1 for Geglu {
    fn name(&self) -> &'static str {
        "geglu"
    }

    fn cpu_fwd(&self, xs: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (half, shape) = halved(layout)?;
        let wide = 2 * half;
        let xs = values(xs, layout)?;
        let mut ys = vec![0.0; xs.len() / 2];
        ys.par_chunks_mut(half * ROWS)
            .zip(xs.par_chunks(wide * ROWS))
            .for_each(|(ys, xs)| {
                simd::vectorize(
                    #[inline(always)]
                    || {
                        for (ys, xs) in ys.chunks_exact_mut(half).zip(xs.chunks_exact(wide)) {
                            let (a, g) = xs.split_at(half);
                            for ((y, a), g) in ys.iter_mut().zip(a).zip(g) {
                                *y = a * g * simd::normal_cdf(*g);
                            }
                        }
                    },
                );
            });
        Ok((CpuStorage::F32(ys), shape))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, xs: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (half, shape) = halved(layout)?;
        let view = cuda::operand(self.name(), xs, layout)?;
        let rows = shape.elem_count() / half;
        let ys = cuda::pointwise::geglu(&xs.device, view, rows, half)?;
        Ok((ys, shape))
    }

    fn bwd(&self, xs: &Tensor, _ys: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let wide = xs.dim(candle_core::D::Minus1)?;
        let half = wide / 2;
        #[cfg(feature = "cuda")]
        if xs.device().is_cuda() {
            let (gradient, rows) = (gradient.contiguous()?, xs.elem_count() / wide);
            let dx = cuda::with_views(self.name(), [xs, &gradient], |device, [x, g]| {
                cuda::pointwise::geglu_gradient(device, x, g, rows, half)
            })?;
            return Ok(Some(cuda::tensor(dx, xs.shape())));
        }
        let mut dx = vec![0.0; xs.elem_count()];
        {
            let gradient = gradient.contiguous()?;
            let (x, g) = (Reading::new(xs)?, Reading::new(&gradient)?);
            let rows = dx
                .par_chunks_mut(wide * ROWS)
                .zip(x.par_chunks(wide * ROWS));
            rows.zip(g.par_chunks(half * ROWS))
                .for_each(|((dx, xs), gradient)| {
                    simd::vectorize(
                        #[inline(always)]
                        || {
                            let rows = dx.chunks_exact_mut(wide).zip(xs.chunks_exact(wide));
                            for ((dx, xs), gradient) in rows.zip(gradient.chunks_exact(half)) {
                                geglu_gradient(half, xs, gradient, dx);
                            }
                        },
                    );
                });
        }
        Ok(Some(Tensor::from_vec(dx, xs.shape(), xs.device())?))
    }
}

#[inline(always)]
fn geglu_gradient(half: usize, xs: &[f32], gradient: &[f32], dx: &mut [f32]) {
    let (a, g) = xs.split_at(half);
    let (da, dg) = dx.split_at_mut(half);
    let (g, gradient, dg) = (&g[..half], &gradient[..half], &mut dg[..half]);
    // Counted rather than zipped: five slices are more than the vectoriser follows.
    for index in 0..half {
        let (cdf, density) = simd::normal_cdf_and_density(g[index]);
        da[index] = gradient[index] * g[index] * cdf;
        dg[index] = gradient[index] * a[index] * (cdf + g[index] * density);
    }
}
