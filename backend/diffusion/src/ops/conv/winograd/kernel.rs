//! Transforms of kernels, vectorised over pairs of channels.

use rayon::prelude::*;

use super::{
    super::{
        super::simd::{self, LANES},
        geometry::Geometry,
        pieces::regroup,
    },
    POINTS, plane,
};

/// Positions of a 3x3 kernel.
const TAPS: usize = 9;

/// Kernels that one task transforms.
const TASK: usize = 32 * BLOCK;

/// Values that one pass over all planes handles, so that they stay in the first-level cache.
const BLOCK: usize = 128;

/// `G w G^T` in planes of `[c, o]`, as the forward pass multiplies.
pub(super) fn planes(g: &Geometry, weight: &[f32]) -> Vec<f32> {
    let (channels, filters) = (g.channels, g.filters);
    spread(weight.len() / TAPS, |pair, lanes| {
        let (mut channel, mut filter) = (pair / filters, pair % filters);
        for lane in 0..lanes.len {
            let start = (filter * channels + channel) * TAPS;
            lanes.set(lane, &weight[start..]);
            filter += 1;
            if filter == filters {
                (channel, filter) = (channel + 1, 0);
            }
        }
    })
}

/// `G w G^T` in planes of `[o, c]`, as the gradient of the input multiplies.
pub(in super::super) fn transposed_planes(weight: &[f32]) -> Vec<f32> {
    spread(weight.len() / TAPS, |pair, lanes| {
        for lane in 0..lanes.len {
            lanes.set(lane, &weight[(pair + lane) * TAPS..]);
        }
    })
}

/// Taps of a block of kernels, tap by tap.
struct Lanes {
    values: [[f32; BLOCK]; TAPS],
    len: usize,
}

impl Lanes {
    #[inline(always)]
    fn set(&mut self, lane: usize, kernel: &[f32]) {
        for (values, tap) in self.values.iter_mut().zip(&kernel[..TAPS]) {
            values[lane] = *tap;
        }
    }
}

/// Gradients in taps of `[c, o]` to `[o, c, taps]`.
pub(in super::super) fn from_taps(g: &Geometry, taps: &[f32]) -> Vec<f32> {
    let mut weight = vec![0.0; taps.len()];
    let pairs = g.channels * g.filters;
    let filter_len = g.channels * TAPS;
    let blocks = weight.par_chunks_mut(LANES * filter_len).enumerate();
    blocks.for_each(|(block, filters)| {
        // Sixteen filters share each line of the cache.
        for channel in 0..g.channels {
            let start = channel * g.filters + block * LANES;
            for (filter, kernels) in filters.chunks_exact_mut(filter_len).enumerate() {
                let kernel = &mut kernels[channel * TAPS..][..TAPS];
                for (tap, value) in kernel.iter_mut().enumerate() {
                    *value = taps[tap * pairs + start + filter];
                }
            }
        }
    });
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

/// `G w G^T` of `pairs` kernels; `load` takes the taps of those from a first one on.
fn spread(pairs: usize, load: impl Fn(usize, &mut Lanes) + Sync) -> Vec<f32> {
    let mut planes = vec![0.0; POINTS * plane(pairs)];
    let points = planes.chunks_exact_mut(plane(pairs));
    let tasks = regroup(points.map(|plane| plane[..pairs].chunks_mut(TASK)));
    tasks
        .into_par_iter()
        .enumerate()
        .for_each(|(task, mut parts)| {
            let mut lanes = Lanes {
                values: [[0.0; BLOCK]; TAPS],
                len: 0,
            };
            let len = parts[0].len();
            for start in (0..len).step_by(BLOCK) {
                lanes.len = BLOCK.min(len - start);
                load(task * TASK + start, &mut lanes);
                simd::vectorize(
                    #[inline(always)]
                    || spread_block(&lanes, start, &mut parts),
                );
            }
        });
    planes
}

#[expect(
    clippy::needless_range_loop,
    reason = "a lane of every array: counted is what the vectoriser follows"
)]
#[inline(always)]
fn spread_block(lanes: &Lanes, start: usize, parts: &mut [&mut [f32]]) {
    let mut points = [[0.0_f32; BLOCK]; POINTS];
    for lane in 0..BLOCK {
        let tap = |row: usize, column: usize| lanes.values[3 * row + column][lane];
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
    for (points, part) in points.iter().zip(parts) {
        part[start..][..lanes.len].copy_from_slice(&points[..lanes.len]);
    }
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
