//! Operators that move values: nearest upsampling, and images to tokens and back.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{
    half,
    storage::{Reading, values},
};
#[cfg(feature = "cuda")]
use crate::cuda;

/// Enlarges an image by repeating pixels.
///
/// Pixel `i` of a side of `n` is pixel `floor(i * m / n)` of a side of `m` (`PyTorch`'s `nearest`).
///
/// `xs: [b, c, h, w]`; result `[b, c, height, width]`, no smaller than `xs`. Gradient flows to:
/// `xs`.
pub fn upsample_nearest(xs: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let (_, _, from_height, from_width) = xs.dims4()?;
    if height < from_height || width < from_width || from_height * from_width == 0 {
        bail!("{from_height}x{from_width} pixels cannot be enlarged to {height}x{width}");
    }
    if xs.device().is_cpu() && (height, width) == (2 * from_height, 2 * from_width) {
        return half::apply1(&xs.contiguous()?, Double);
    }
    half::apply1(&xs.contiguous()?, Upsample { height, width })
}

/// Pixels as tokens, whose channels lie side by side.
///
/// `xs: [b, c, h, w]`; result `[b, h * w, c]`. Gradient flows to: `xs`.
pub fn to_tokens(xs: &Tensor) -> Result<Tensor> {
    half::apply1(&xs.contiguous()?, ToTokens)
}

/// Tokens as the pixels of an image: the inverse of [`to_tokens`].
///
/// `xs: [b, height * width, c]`; result `[b, c, height, width]`. Gradient flows to: `xs`.
pub fn to_image(xs: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    half::apply1(&xs.contiguous()?, ToImage { height, width })
}

struct Upsample {
    height: usize,
    width: usize,
}

impl Upsample {
    /// Index in a plane of `from` that each pixel of the larger plane shows.
    fn origins(&self, (from_height, from_width): (usize, usize)) -> Vec<usize> {
        let Self { height, width } = *self;
        (0..height * width)
            .map(|pixel| {
                let (row, column) = (pixel / width, pixel % width);
                row * from_height / height * from_width + column * from_width / width
            })
            .collect()
    }

    #[cfg(feature = "cuda")]
    fn on_cuda(&self, from: &Shape) -> Result<cuda::shape::Upsample> {
        let (batch, channels, height, width) = from.dims4()?;
        Ok(cuda::shape::Upsample {
            planes: batch * channels,
            from: [height, width],
            to: [self.height, self.width],
        })
    }
}

impl CustomOp1 for Upsample {
    fn name(&self) -> &'static str {
        "upsample_nearest"
    }

    fn cpu_fwd(&self, xs: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, channels, height, width) = layout.shape().dims4()?;
        let xs = values(xs, layout)?;
        let origins = self.origins((height, width));
        let mut ys = vec![0.0; batch * channels * origins.len()];
        ys.par_chunks_mut(origins.len())
            .zip(xs.par_chunks(height * width))
            .for_each(|(ys, xs)| {
                for (y, origin) in ys.iter_mut().zip(&origins) {
                    *y = xs[*origin];
                }
            });
        let shape = Shape::from((batch, channels, self.height, self.width));
        Ok((CpuStorage::F32(ys), shape))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, xs: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (batch, channels, _, _) = layout.shape().dims4()?;
        let view = cuda::operand(self.name(), xs, layout)?;
        let ys = self.on_cuda(layout.shape())?.forward(&xs.device, view)?;
        let shape = Shape::from((batch, channels, self.height, self.width));
        Ok((ys, shape))
    }

    fn bwd(&self, xs: &Tensor, _ys: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (_, _, height, width) = xs.dims4()?;
        let gradient = gradient.contiguous()?;
        #[cfg(feature = "cuda")]
        if xs.device().is_cuda() {
            let sizes = self.on_cuda(xs.shape())?;
            let dx = cuda::with_views(self.name(), [&gradient], |device, [g]| {
                sizes.backward(device, g)
            })?;
            return Ok(Some(cuda::tensor(dx, xs.shape())));
        }
        let origins = self.origins((height, width));
        let mut dx = vec![0.0; xs.elem_count()];
        {
            let g = Reading::new(&gradient)?;
            dx.par_chunks_mut(height * width)
                .zip(g.par_chunks(origins.len()))
                .for_each(|(dx, g)| {
                    for (g, origin) in g.iter().zip(&origins) {
                        dx[*origin] += g;
                    }
                });
        }
        Ok(Some(Tensor::from_vec(dx, xs.shape(), xs.device())?))
    }
}

/// Twice the height and width on the CPU: the usual case, without a table.
struct Double;

impl CustomOp1 for Double {
    fn name(&self) -> &'static str {
        "upsample_double"
    }

    fn cpu_fwd(&self, xs: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, channels, height, width) = layout.shape().dims4()?;
        let xs = values(xs, layout)?;
        let mut ys = vec![0.0; 4 * xs.len()];
        let plane = (height * width).max(1);
        ys.par_chunks_mut(4 * plane)
            .zip(xs.par_chunks(plane))
            .for_each(|(ys, xs)| {
                for (ys, xs) in ys.chunks_exact_mut(4 * width).zip(xs.chunks_exact(width)) {
                    let (upper, lower) = ys.split_at_mut(2 * width);
                    for (pair, x) in upper.chunks_exact_mut(2).zip(xs) {
                        pair.fill(*x);
                    }
                    lower.copy_from_slice(upper);
                }
            });
        Ok((
            CpuStorage::F32(ys),
            Shape::from((batch, channels, 2 * height, 2 * width)),
        ))
    }

    fn bwd(&self, xs: &Tensor, _ys: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (_, _, height, width) = xs.dims4()?;
        let plane = (height * width).max(1);
        let gradient = gradient.contiguous()?;
        let mut dx = vec![0.0; xs.elem_count()];
        {
            let g = Reading::new(&gradient)?;
            dx.par_chunks_mut(plane)
                .zip(g.par_chunks(4 * plane))
                .for_each(|(dx, g)| {
                    for (dx, g) in dx.chunks_exact_mut(width).zip(g.chunks_exact(4 * width)) {
                        let (upper, lower) = g.split_at(2 * width);
                        let pairs = upper.chunks_exact(2).zip(lower.chunks_exact(2));
                        for (dx, (upper, lower)) in dx.iter_mut().zip(pairs) {
                            *dx = upper[0] + upper[1] + lower[0] + lower[1];
                        }
                    }
                });
        }
        Ok(Some(Tensor::from_vec(dx, xs.shape(), xs.device())?))
    }
}

struct ToTokens;

struct ToImage {
    height: usize,
    width: usize,
}

impl ToImage {
    /// Batch, tokens and channels, if the tokens are as many as the image's pixels.
    fn sizes(&self, layout: &Layout) -> Result<[usize; 3]> {
        let Self { height, width } = *self;
        let (batch, tokens, channels) = layout.shape().dims3()?;
        if tokens != height * width {
            bail!("{tokens} tokens are no image of {height}x{width}");
        }
        Ok([batch, tokens, channels])
    }

    fn shape(&self, layout: &Layout) -> Result<Shape> {
        let [batch, _, channels] = self.sizes(layout)?;
        Ok(Shape::from((batch, channels, self.height, self.width)))
    }
}

/// Side of the tiles of a transpose: both sides of a tile stay in the first-level cache.
const TILE: usize = 16;

fn swap(xs: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut ys = vec![0.0; xs.len()];
    let len = (rows * columns).max(1);
    ys.par_chunks_mut(len)
        .zip(xs.par_chunks(len))
        .for_each(|(ys, xs)| {
            for top in (0..rows).step_by(TILE) {
                for left in (0..columns).step_by(TILE) {
                    let bottom = rows.min(top + TILE);
                    for column in left..columns.min(left + TILE) {
                        let target = &mut ys[column * rows + top..column * rows + bottom];
                        for (value, row) in target.iter_mut().zip(top..) {
                            *value = xs[row * columns + column];
                        }
                    }
                }
            }
        });
    ys
}

impl CustomOp1 for ToTokens {
    fn name(&self) -> &'static str {
        "to_tokens"
    }

    fn cpu_fwd(&self, xs: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, channels, height, width) = layout.shape().dims4()?;
        let ys = swap(values(xs, layout)?, channels, height * width);
        let shape = Shape::from((batch, height * width, channels));
        Ok((CpuStorage::F32(ys), shape))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, xs: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (batch, channels, height, width) = layout.shape().dims4()?;
        let view = cuda::operand(self.name(), xs, layout)?;
        let sides = [channels, height * width];
        let ys = cuda::shape::transpose(&xs.device, view, batch, sides)?;
        Ok((ys, Shape::from((batch, height * width, channels))))
    }

    fn bwd(&self, xs: &Tensor, _ys: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (_, _, height, width) = xs.dims4()?;
        to_image(&gradient.detach(), height, width).map(Some)
    }
}

impl CustomOp1 for ToImage {
    fn name(&self) -> &'static str {
        "to_image"
    }

    fn cpu_fwd(&self, xs: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let [_, tokens, channels] = self.sizes(layout)?;
        let ys = swap(values(xs, layout)?, tokens, channels);
        Ok((CpuStorage::F32(ys), self.shape(layout)?))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, xs: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let [batch, tokens, channels] = self.sizes(layout)?;
        let view = cuda::operand(self.name(), xs, layout)?;
        let ys = cuda::shape::transpose(&xs.device, view, batch, [tokens, channels])?;
        Ok((ys, self.shape(layout)?))
    }

    fn bwd(&self, _xs: &Tensor, _ys: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        to_tokens(&gradient.detach()).map(Some)
    }
}
