//! Backward pass of the convolution.
//!
//! For stride 1 the patches of the output's gradient give both results: times the flipped kernel
//! they are the gradient of the input, times the input they are the gradient of the kernel. Other
//! strides gather patches of the input and scatter the patches' gradient back.

use rayon::prelude::*;

use super::{
    super::{
        channels::image_sums,
        gemm::{Matrix, MatrixMut, Write, gemm},
        group_norm::sum_rows,
        simd,
        storage::with_scratch,
    },
    forward::{padded, product_apart, with_patches},
    geometry::Geometry,
    patches,
    winograd::{self, Plan},
};

/// What the backward pass reads.
pub(super) struct Inputs<'a> {
    pub(super) xs: &'a [f32],
    pub(super) weight: &'a [f32],
    pub(super) gradient: &'a [f32],
}

/// Which gradients are wanted.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) xs: bool,
    pub(super) weight: bool,
    pub(super) bias: bool,
}

/// The gradients that were wanted; the others are empty.
#[derive(Default)]
pub(super) struct Gradients {
    pub(super) xs: Vec<f32>,
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

/// Gradients of a convolution.
pub(super) fn backward(g: &Geometry, inputs: &Inputs<'_>, wanted: Wanted) -> Gradients {
    let mut gradients = Gradients::default();
    if wanted.bias {
        gradients.bias = bias_gradient(g, inputs.gradient);
    }
    let method = Method::new(g, inputs.weight, wanted);
    let part = method.part(g);
    let parts = g.batch.div_ceil(part);
    let weights = if wanted.weight {
        inputs.weight.len()
    } else {
        0
    };
    let mut weights = vec![0.0; parts * weights];
    gradients.xs = vec![0.0; if wanted.xs { inputs.xs.len() } else { 0 }];
    let pieces: Vec<_> = chunks_or_empty(&mut gradients.xs, part * g.in_len(), parts)
        .zip(chunks_or_empty(&mut weights, inputs.weight.len(), parts))
        .zip(inputs.xs.chunks(part * g.in_len()))
        .zip(inputs.gradient.chunks(part * g.out_len()))
        .collect();
    pieces
        .into_par_iter()
        .for_each(|(((dx, dw), xs), gradient)| {
            method.run_part(g, inputs.weight, (xs, gradient), (dx, dw));
        });
    if wanted.weight {
        let summed = sum_parts(weights, inputs.weight.len());
        gradients.weight = method.kernel_gradient(g, &summed);
    }
    gradients
}

/// How gradients are computed, with what all parts of the batch share.
enum Method {
    /// The transposed maps of Winograd's algorithm, and the transformed kernels.
    Tiles(Plan, Vec<f32>),
    /// The adjoint convolution, and the flipped kernels.
    Adjoint(Geometry, Vec<f32>),
    /// Patches of the input.
    Strided,
}

impl Method {
    /// Kernels are prepared only for the gradient of the input.
    fn new(g: &Geometry, weight: &[f32], wanted: Wanted) -> Self {
        let prepare = |kernels: &dyn Fn() -> Vec<f32>| {
            if wanted.xs { kernels() } else { Vec::new() }
        };
        match (Plan::new(g), g.adjoint()) {
            (Some(plan), _) => Self::Tiles(plan, prepare(&|| winograd::transposed_planes(weight))),
            (None, Some(adjoint)) => Self::Adjoint(adjoint, prepare(&|| flip(g, weight))),
            (None, None) => Self::Strided,
        }
    }

    fn part(&self, g: &Geometry) -> usize {
        match self {
            Self::Tiles(plan, _) => plan.part(),
            Self::Adjoint(..) | Self::Strided => g.part(),
        }
    }

    fn run_part(
        &self,
        g: &Geometry,
        weight: &[f32],
        sources: (&[f32], &[f32]),
        targets: (&mut [f32], &mut [f32]),
    ) {
        match self {
            Self::Tiles(plan, kernels) => {
                winograd::backward_part(plan, kernels, sources, targets);
            }
            Self::Adjoint(adjoint, flipped) => adjoint_part(g, adjoint, flipped, sources, targets),
            Self::Strided => strided_part(g, weight, sources, targets),
        }
    }

    /// The sum of all parts as `[o, c, taps]`.
    fn kernel_gradient(&self, g: &Geometry, summed: &[f32]) -> Vec<f32> {
        match self {
            Self::Tiles(..) => winograd::from_taps(g, summed),
            Self::Adjoint(..) => from_adjoint_rows(g, summed),
            Self::Strided => from_patch_rows(g, summed),
        }
    }
}

/// Mutable chunks of `values`, or as many empty slices where the gradient is not wanted.
fn chunks_or_empty(
    values: &mut [f32],
    len: usize,
    count: usize,
) -> impl Iterator<Item = &mut [f32]> {
    let empty = if values.is_empty() { count } else { 0 };
    values
        .chunks_mut(len)
        .chain(std::iter::repeat_with(|| &mut [][..]).take(empty))
}

/// Stride 1: one matrix of patches of the gradient serves both results.
fn adjoint_part(
    g: &Geometry,
    adjoint: &Geometry,
    flipped: &[f32],
    (xs, gradient): (&[f32], &[f32]),
    (dx, dw): (&mut [f32], &mut [f32]),
) {
    let group = g.group();
    let depth = adjoint.patch_len();
    let mut dx = dx.chunks_mut(group * g.in_len());
    let mut write = Write::Replace;
    for (xs, gradient) in xs
        .chunks(group * g.in_len())
        .zip(gradient.chunks(group * g.out_len()))
    {
        let columns = xs.len() / g.channels;
        with_patches(adjoint, gradient, |patches| {
            if let Some(dx) = dx.next() {
                product_apart(
                    adjoint,
                    Matrix::new(flipped, g.channels, depth),
                    patches,
                    None,
                    dx,
                );
            }
            if !dw.is_empty() {
                with_rows(xs, g.channels, g.in_pixels(), |rows| {
                    let xs = Matrix::new(rows, g.channels, columns);
                    let target = MatrixMut::strided(dw, g.channels);
                    gemm(write, target, 1.0, patches, xs.transposed());
                });
                write = Write::Add;
            }
        });
    }
}

/// Other strides: patches of the input for the kernel, scattered patches for the input.
fn strided_part(
    g: &Geometry,
    weight: &[f32],
    (xs, gradient): (&[f32], &[f32]),
    (dx, dw): (&mut [f32], &mut [f32]),
) {
    let group = g.group();
    let depth = g.patch_len();
    let mut dx = dx.chunks_mut(group * g.in_len());
    let mut write = Write::Replace;
    for (xs, gradient) in xs
        .chunks(group * g.in_len())
        .zip(gradient.chunks(group * g.out_len()))
    {
        let columns = gradient.len() / g.filters;
        with_rows(gradient, g.filters, g.out_pixels(), |rows| {
            let gradient = Matrix::new(rows, g.filters, columns);
            if !dw.is_empty() {
                with_patches(g, xs, |patches| {
                    let target = MatrixMut::strided(dw, g.filters);
                    gemm(write, target, 1.0, patches, gradient.transposed());
                });
                write = Write::Add;
            }
            if let Some(dx) = dx.next() {
                let stride = padded(columns);
                with_scratch(depth * stride, |patches| {
                    let kernel = Matrix::new(weight, g.filters, depth).transposed();
                    let target = MatrixMut::strided(patches, stride);
                    gemm(Write::Replace, target, 1.0, kernel, gradient);
                    for (index, dx) in dx.chunks_exact_mut(g.in_len()).enumerate() {
                        patches::scatter_add(g, patches, stride, index * g.out_pixels(), dx);
                    }
                });
            }
        });
    }
}

/// Calls `body` with the images' rows side by side; a single image needs no copy.
fn with_rows<R>(images: &[f32], rows: usize, len: usize, body: impl FnOnce(&[f32]) -> R) -> R {
    if images.len() == rows * len {
        return body(images);
    }
    with_scratch(images.len(), |buffer| {
        patches::side_by_side(images, rows, len, buffer);
        body(buffer)
    })
}

/// Values that one task of a sum adds up.
const SUM: usize = 1 << 13;

/// Sums parts in their order.
fn sum_parts(mut parts: Vec<f32>, len: usize) -> Vec<f32> {
    let (total, rest) = parts.split_at_mut(len);
    total
        .par_chunks_mut(SUM)
        .enumerate()
        .for_each(|(index, total)| {
            simd::vectorize(
                #[inline(always)]
                || {
                    for part in rest.chunks_exact(len) {
                        simd::add_to(total, &part[index * SUM..][..total.len()]);
                    }
                },
            );
        });
    parts.truncate(len);
    parts
}

/// `[o, c, taps]` to `[c, o, taps reversed]`.
fn flip(g: &Geometry, weight: &[f32]) -> Vec<f32> {
    let taps = g.taps();
    let mut flipped = vec![0.0; weight.len()];
    for (filter, kernels) in weight.chunks_exact(g.channels * taps).enumerate() {
        for (channel, kernel) in kernels.chunks_exact(taps).enumerate() {
            let target = &mut flipped[(channel * g.filters + filter) * taps..][..taps];
            target
                .iter_mut()
                .zip(kernel.iter().rev())
                .for_each(|(value, x)| *value = *x);
        }
    }
    flipped
}

/// `[o, taps reversed, c]` to `[o, c, taps]`.
fn from_adjoint_rows(g: &Geometry, rows: &[f32]) -> Vec<f32> {
    let (taps, channels) = (g.taps(), g.channels);
    let mut weight = vec![0.0; rows.len()];
    let filters = weight
        .chunks_exact_mut(channels * taps)
        .zip(rows.chunks_exact(taps * channels));
    for (filter, rows) in filters {
        for (tap, row) in rows.chunks_exact(channels).rev().enumerate() {
            for (kernel, value) in filter.chunks_exact_mut(taps).zip(row) {
                kernel[tap] = *value;
            }
        }
    }
    weight
}

/// `[c, taps, o]` to `[o, c, taps]`.
fn from_patch_rows(g: &Geometry, rows: &[f32]) -> Vec<f32> {
    let mut weight = vec![0.0; rows.len()];
    for (row, values) in rows.chunks_exact(g.filters).enumerate() {
        for (filter, value) in weight.chunks_exact_mut(g.patch_len()).zip(values) {
            filter[row] = *value;
        }
    }
    weight
}

/// Sum of the gradient over images and pixels, per filter.
fn bias_gradient(g: &Geometry, gradient: &[f32]) -> Vec<f32> {
    let images = image_sums(gradient, g.filters, g.out_pixels());
    sum_rows(&images, g.filters)
}
