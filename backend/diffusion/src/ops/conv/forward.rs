//! Forward pass of the convolution: patches times kernel, per group of images.

use rayon::prelude::*;

use super::{
    super::{
        gemm::{Matrix, MatrixMut, Write, gemm},
        storage::with_scratch,
    },
    geometry::{COLUMNS, Geometry},
    patches,
    pieces::{self, FILTERS, TASKS},
    winograd::{self, Plan},
};

/// Convolves a batch; `ys` has the output's size and any content.
pub(super) fn forward(
    g: &Geometry,
    xs: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    ys: &mut [f32],
) {
    if let Some(plan) = Plan::new(g) {
        winograd::forward(&plan, xs, weight, bias, ys);
        return;
    }
    if g.batch < TASKS && g.out_pixels() >= TASKS * COLUMNS {
        pieces::by_rows(g, xs, weight, bias, ys);
        return;
    }
    if g.batch * g.out_pixels() < TASKS * COLUMNS && g.filters >= 2 * FILTERS {
        pieces::by_filters(g, xs, weight, bias, ys);
        return;
    }
    let group = g.group();
    ys.par_chunks_mut(group * g.out_len())
        .zip(xs.par_chunks(group * g.in_len()))
        .for_each(|(ys, xs)| convolve(g, xs, weight, bias, ys));
}

/// Convolves one group of images.
pub(super) fn convolve(
    g: &Geometry,
    xs: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    ys: &mut [f32],
) {
    with_patches(g, xs, |patches| {
        let kernel = Matrix::new(weight, g.filters, g.patch_len());
        product_apart(g, kernel, patches, bias, ys);
    });
}

/// Calls `body` with the matrix of patches of a group of images.
pub(super) fn with_patches<R>(g: &Geometry, xs: &[f32], body: impl FnOnce(Matrix<'_>) -> R) -> R {
    let images = xs.len() / g.in_len();
    let columns = images * g.out_pixels();
    if g.is_pointwise() && images == 1 {
        return body(Matrix::new(xs, g.patch_len(), columns));
    }
    let stride = padded(columns);
    with_scratch(g.patch_len() * stride, |buffer| {
        for (index, image) in xs.chunks_exact(g.in_len()).enumerate() {
            patches::gather(g, image, buffer, stride, index * g.out_pixels());
        }
        body(Matrix::strided(buffer, g.patch_len(), columns, stride))
    })
}

/// Distance of rows in scratch memory.
///
/// One cache line more than the length: rows at a power of two would all fall into the same few
/// cache sets, and every product would wait for the second-level cache.
pub(super) fn padded(columns: usize) -> usize {
    columns.next_multiple_of(16) + 16
}

/// `kernel * patches + bias`, stored image by image.
pub(super) fn product_apart(
    g: &Geometry,
    kernel: Matrix<'_>,
    patches: Matrix<'_>,
    bias: Option<&[f32]>,
    ys: &mut [f32],
) {
    let pixels = g.out_pixels();
    let columns = ys.len() / g.filters;
    if columns == pixels {
        let write = fill_rows(bias, ys, columns);
        gemm(write, MatrixMut::strided(ys, columns), 1.0, kernel, patches);
        return;
    }
    with_scratch(ys.len(), |product| {
        let write = fill_rows(bias, product, columns);
        gemm(
            write,
            MatrixMut::strided(product, columns),
            1.0,
            kernel,
            patches,
        );
        patches::apart(product, g.filters, pixels, ys);
    });
}

/// Starts each row with its bias, or says that there is nothing to add to.
pub(super) fn fill_rows(bias: Option<&[f32]>, rows: &mut [f32], len: usize) -> Write {
    let Some(bias) = bias else {
        return Write::Replace;
    };
    for (row, value) in rows.chunks_exact_mut(len).zip(bias) {
        row.fill(*value);
    }
    Write::Add
}
