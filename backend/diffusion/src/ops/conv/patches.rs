//! The matrix of patches: one column per output pixel, one row per kernel position and channel.

use std::ops::Range;

use super::geometry::Geometry;

/// A run of output columns in one output row, and where it starts in the input row.
struct Run {
    start: usize,
    end: usize,
    source: usize,
}

impl Geometry {
    /// Output columns of kernel column `tap` that read inside the image.
    fn run(&self, tap: usize) -> Run {
        let start = self.padding_left.saturating_sub(tap).div_ceil(self.stride);
        let end = (self.width + self.padding_left)
            .saturating_sub(tap)
            .div_ceil(self.stride);
        let end = end.min(self.out_width);
        let start = start.min(end);
        // An empty run may lie outside the image: keep its slice in bounds.
        let source = (start * self.stride + tap).saturating_sub(self.padding_left);
        Run {
            start,
            end,
            source: source.min(self.width),
        }
    }

    /// Input row that output row `row` reads for kernel row `tap`, if it lies inside the image.
    fn source_row(&self, row: usize, tap: usize) -> Option<usize> {
        let source = (row * self.stride + tap).checked_sub(self.padding_top)?;
        (source < self.height).then_some(source)
    }

    /// Visits each row of the patch matrix: (row index, channel, kernel row, kernel column).
    fn patch_rows(&self) -> impl Iterator<Item = (usize, usize, usize, usize)> {
        let (taps, kernel_width) = (self.taps(), self.kernel_width);
        (0..self.patch_len()).map(move |row| {
            (
                row,
                row / taps,
                row % taps / kernel_width,
                row % kernel_width,
            )
        })
    }
}

/// Writes the patches of one image into `columns`, whose rows are `row_stride` apart and start
/// at `offset`. Every value of the covered columns is written.
pub(super) fn gather(
    geometry: &Geometry,
    image: &[f32],
    columns: &mut [f32],
    row_stride: usize,
    offset: usize,
) {
    let rows = 0..geometry.out_height;
    gather_rows(geometry, image, rows, &mut columns[offset..], row_stride);
}

/// [`gather`] for some rows of the output.
pub(super) fn gather_rows(
    geometry: &Geometry,
    image: &[f32],
    rows: Range<usize>,
    columns: &mut [f32],
    row_stride: usize,
) {
    let g = geometry;
    for (row, channel, tap_row, tap_column) in g.patch_rows() {
        let plane = &image[channel * g.in_pixels()..][..g.in_pixels()];
        let target = &mut columns[row * row_stride..][..rows.len() * g.out_width];
        let run = g.run(tap_column);
        for (out_row, target) in rows.clone().zip(target.chunks_exact_mut(g.out_width)) {
            let Some(source_row) = g.source_row(out_row, tap_row) else {
                target.fill(0.0);
                continue;
            };
            target[..run.start].fill(0.0);
            target[run.end..].fill(0.0);
            let source = &plane[source_row * g.width..][..g.width];
            let inner = &mut target[run.start..run.end];
            if g.stride == 1 {
                inner.copy_from_slice(&source[run.source..][..inner.len()]);
            } else {
                for (value, x) in inner
                    .iter_mut()
                    .zip(source[run.source..].iter().step_by(g.stride))
                {
                    *value = *x;
                }
            }
        }
    }
}

/// Adds patches back onto the image they came from: the adjoint of [`gather`].
pub(super) fn scatter_add(
    geometry: &Geometry,
    columns: &[f32],
    row_stride: usize,
    offset: usize,
    image: &mut [f32],
) {
    let g = geometry;
    for (row, channel, tap_row, tap_column) in g.patch_rows() {
        let plane = &mut image[channel * g.in_pixels()..][..g.in_pixels()];
        let patches = &columns[row * row_stride + offset..][..g.out_pixels()];
        let run = g.run(tap_column);
        for (out_row, patches) in patches.chunks_exact(g.out_width).enumerate() {
            let Some(source_row) = g.source_row(out_row, tap_row) else {
                continue;
            };
            let target = &mut plane[source_row * g.width..][..g.width];
            let inner = &patches[run.start..run.end];
            for (value, x) in target[run.source..].iter_mut().step_by(g.stride).zip(inner) {
                *value += x;
            }
        }
    }
}

/// Copies `rows` rows of `len` values of each image side by side into one matrix.
pub(super) fn side_by_side(images: &[f32], rows: usize, len: usize, matrix: &mut [f32]) {
    let count = images.len() / (rows * len);
    for (index, image) in images.chunks_exact(rows * len).enumerate() {
        for (row, values) in image.chunks_exact(len).enumerate() {
            matrix[row * count * len + index * len..][..len].copy_from_slice(values);
        }
    }
}

/// Copies a matrix made like [`side_by_side`] back into images.
pub(super) fn apart(matrix: &[f32], rows: usize, len: usize, images: &mut [f32]) {
    let count = images.len() / (rows * len);
    for (index, image) in images.chunks_exact_mut(rows * len).enumerate() {
        for (row, values) in image.chunks_exact_mut(len).enumerate() {
            values.copy_from_slice(&matrix[row * count * len + index * len..][..len]);
        }
    }
}
