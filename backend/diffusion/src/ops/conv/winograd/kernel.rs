//! Transforms of kernels, vectorised over pairs of channels.

use super::{
    super::{super::simd, geometry::Geometry},
    POINTS, plane,
};

/// Positions of a 3x3 kernel.
const TAPS: usize = 9;

/// Values that one pass over all planes handles, so that they stay in the first-level cache.
const BLOCK: usize = 128;

/// `G w G^T` in planes of `[c, o]`, as the forward pass multiplies.
pub(super) fn planes(g: &Geometry, weight: &[f32]) -> Vec<f32> {
    let mut taps = vec![0.0; weight.len()];
    let pairs = g.channels * g.filters;
    for (filter, kernels) in weight.chunks_exact(g.channels * TAPS).enumerate() {
        for (channel, kernel) in kernels.chunks_exact(TAPS).enumerate() {
            for (tap, value) in kernel.iter().enumerate() {
                taps[tap * pairs + channel * g.filters + filter] = *value;
            }
        }
    }
    spread(&taps)
}

/// `G w G^T` in planes of `[o, c]`, as the gradient of the input multiplies.
pub(in super::super) fn transposed_planes(weight: &[f32]) -> Vec<f32> {
    let mut taps = vec![0.0; weight.len()];
    let pairs = weight.len() / TAPS;
    for (pair, kernel) in weight.chunks_exact(TAPS).enumerate() {
        for (tap, value) in kernel.iter().enumerate() {
            taps[tap * pairs + pair] = *value;
        }
    }
    spread(&taps)
}

/// Gradients in taps of `[c, o]` to `[o, c, taps]`.
pub(in super::super) fn from_taps(g: &Geometry, taps: &[f32]) -> Vec<f32> {
    let mut weight = vec![0.0; taps.len()];
    let pairs = g.channels * g.filters;
    for (filter, kernels) in weight.chunks_exact_mut(g.channels * TAPS).enumerate() {
        for (channel, kernel) in kernels.chunks_exact_mut(TAPS).enumerate() {
            for (tap, value) in kernel.iter_mut().enumerate() {
                *value = taps[tap * pairs + channel * g.filters + filter];
            }
        }
    }
    weight
}

#[inline(always)]
fn spread_line([a, b, c]: [f32; 3]) -> [f32; 4] {
    let (even, odd) = (0.5 * (a + c), 0.5 * b);
    [a, even + odd, even - odd, c]
}

#[inline(always)]
fn fold_line([a, b, c, d]: [f32; 4]) -> [f32; 3] {
    let (even, odd) = (0.5 * (b + c), 0.5 * (b - c));
    [a + even, odd, even + d]
}

/// `G w G^T` of kernels stored tap by tap.
fn spread(taps: &[f32]) -> Vec<f32> {
    let pairs = taps.len() / TAPS;
    let mut planes = vec![0.0; POINTS * plane(pairs)];
    simd::vectorize(
        #[inline(always)]
        || {
            for start in (0..pairs).step_by(BLOCK) {
                let len = BLOCK.min(pairs - start);
                let mut values = [[0.0_f32; BLOCK]; TAPS];
                for (values, taps) in values.iter_mut().zip(taps.chunks_exact(pairs)) {
                    values[..len].copy_from_slice(&taps[start..][..len]);
                }
                let mut points = [[0.0_f32; BLOCK]; POINTS];
                for lane in 0..BLOCK {
                    let tap = |row: usize, column: usize| values[3 * row + column][lane];
                    let mut rows = [[0.0; 4]; 3];
                    for (index, row) in rows.iter_mut().enumerate() {
                        *row = spread_line([tap(index, 0), tap(index, 1), tap(index, 2)]);
                    }
                    for column in 0..4 {
                        let line = spread_line([rows[0][column], rows[1][column], rows[2][column]]);
                        for row in 0..4 {
                            points[4 * row + column][lane] = line[row];
                        }
                    }
                }
                for (points, plane) in points.iter().zip(planes.chunks_exact_mut(plane(pairs))) {
                    plane[start..][..len].copy_from_slice(&points[..len]);
                }
            }
        },
    );
    planes
}

/// The transpose of [`spread`].
pub(super) fn fold(planes: &[f32], taps: &mut [f32]) {
    let pairs = taps.len() / TAPS;
    simd::vectorize(
        #[inline(always)]
        || {
            for start in (0..pairs).step_by(BLOCK) {
                let len = BLOCK.min(pairs - start);
                let mut points = [[0.0_f32; BLOCK]; POINTS];
                for (points, plane) in points.iter_mut().zip(planes.chunks_exact(plane(pairs))) {
                    points[..len].copy_from_slice(&plane[start..][..len]);
                }
                let mut values = [[0.0_f32; BLOCK]; TAPS];
                for lane in 0..BLOCK {
                    let point = |row: usize, column: usize| points[4 * row + column][lane];
                    let mut rows = [[0.0; 3]; 4];
                    for (index, row) in rows.iter_mut().enumerate() {
                        *row = fold_line([
                            point(index, 0),
                            point(index, 1),
                            point(index, 2),
                            point(index, 3),
                        ]);
                    }
                    for column in 0..3 {
                        let line = fold_line([
                            rows[0][column],
                            rows[1][column],
                            rows[2][column],
                            rows[3][column],
                        ]);
                        for row in 0..3 {
                            values[3 * row + column][lane] = line[row];
                        }
                    }
                }
                for (values, taps) in values.iter().zip(taps.chunks_exact_mut(pairs)) {
                    taps[start..][..len].copy_from_slice(&values[..len]);
                }
            }
        },
    );
}
