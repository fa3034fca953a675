//! Winograd's minimal filtering for 3x3 kernels of stride 1.
//!
//! `ys = A^T [sum over c of (G w G^T) * (B^T x B)] A` on tiles of 4x4 inputs and 2x2 outputs (Lavin
//! and Gray, arXiv 1509.09308, F(2x2, 3x3)): 16 products of `[tiles, c]` and `[c, o]` matrices
//! where patches need 36. The gradients are the transposes of the same four maps, so that the
//! backward pass transforms the output's gradient once for both results.

mod backward;
mod forward;
mod kernel;
mod pixels;
mod tiles;

pub(super) use backward::backward_part;
pub(super) use forward::forward;
pub(super) use kernel::{from_taps, transposed_planes};

use self::{pixels::Grid, tiles::Tiles};
use super::{
    super::{
        gemm::{Matrix, MatrixMut, Write, gemm},
        simd::LANES,
    },
    geometry::Geometry,
};

/// Values of one transformed tile, and so the number of matrix products.
const POINTS: usize = 16;

/// Tiles that one matrix product covers at least, if a part of the batch has them.
///
/// With 96 channels the transformed tiles of both sides then take 1.2 MB, about what the
/// second-level cache holds.
const TILES: usize = 96;

/// Fewest channels on either side: below, the transforms cost what the products save.
const CHANNELS: usize = 16;

/// Most products of channels: transformed kernels of both passes then take 70 MB a thread.
const KERNELS: usize = 1 << 19;

/// A convolution that this algorithm computes, cut into tiles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    g: Geometry,
    tile_rows: usize,
    tile_columns: usize,
}

impl Plan {
    /// The plan for `g`, if the algorithm applies and pays.
    pub(super) fn new(g: &Geometry) -> Option<Self> {
        let three = g.kernel_height == 3 && g.kernel_width == 3 && g.stride == 1;
        let pays = g.channels.min(g.filters) >= CHANNELS && g.channels * g.filters <= KERNELS;
        (three && pays).then_some(Self {
            g: *g,
            tile_rows: g.out_height.div_ceil(2),
            tile_columns: g.out_width.div_ceil(2),
        })
    }

    /// Images that are transformed together; depends on the shape alone.
    fn group(&self) -> usize {
        let wanted = TILES.div_ceil(self.tile_rows * self.tile_columns);
        wanted.clamp(1, self.g.smallest_part())
    }

    /// Whether the images are large and too few to give every thread some.
    fn splits_images(&self) -> bool {
        self.tile_rows * self.tile_columns >= 2 * TILES && self.g.batch < 4
    }

    /// Images whose contributions to a gradient are summed one after the other.
    pub(super) fn part(&self) -> usize {
        self.g.smallest_part().next_multiple_of(self.group())
    }

    /// Rows of tiles that one set of products covers: several where images are large.
    fn bands(&self, images: usize) -> impl Iterator<Item = Tiles> + use<> {
        let rows = TILES.div_ceil(self.tile_columns).min(self.tile_rows);
        let Self {
            tile_rows,
            tile_columns,
            ..
        } = *self;
        (0..tile_rows).step_by(rows).map(move |start| Tiles {
            images,
            start,
            end: tile_rows.min(start + rows),
            columns: tile_columns,
        })
    }

    /// Pixels of the input with its border, channels last.
    fn inputs(&self) -> Grid {
        Grid {
            rows: 2 * self.tile_rows + 2,
            columns: 2 * self.tile_columns + 2,
            top: self.g.padding_top,
            left: self.g.padding_left,
            channels: self.g.channels,
            height: self.g.height,
            width: self.g.width,
        }
    }

    /// Pixels of the output, whole tiles, channels last.
    fn outputs(&self) -> Grid {
        Grid {
            rows: 2 * self.tile_rows,
            columns: 2 * self.tile_columns,
            top: 0,
            left: 0,
            channels: self.g.filters,
            height: self.g.out_height,
            width: self.g.out_width,
        }
    }
}

/// Distance of planes of `len` values.
///
/// One cache line more than the length: sixteen planes at a power of two would all fall into the
/// same few cache sets.
fn plane(len: usize) -> usize {
    len.next_multiple_of(LANES) + LANES
}

/// Sixteen matrices of one shape, each in its plane.
#[derive(Clone, Copy)]
struct Stack<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
}

impl<'a> Stack<'a> {
    /// Planes of pixels: rows are padded to whole registers.
    fn pixels(values: &'a [f32], tiles: usize, channels: usize) -> Self {
        Self {
            values,
            rows: tiles,
            columns: channels,
            row_stride: pixels::padded(channels),
        }
    }

    /// Planes of kernels: rows have no gaps.
    fn kernels(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self {
            values,
            rows,
            columns,
            row_stride: columns,
        }
    }

    fn matrix(&self, point: usize) -> Matrix<'a> {
        let values = &self.values[point * plane(self.rows * self.row_stride)..];
        Matrix::strided(values, self.rows, self.columns, self.row_stride)
    }
}

/// The products of all points; `target` has planes of `rows` rows `row_stride` apart.
fn products<'a>(
    write: Write,
    (target, rows, row_stride): (&mut [f32], usize, usize),
    factors: impl Fn(usize) -> (Matrix<'a>, Matrix<'a>),
) {
    for (point, target) in target
        .chunks_mut(plane(rows * row_stride))
        .take(POINTS)
        .enumerate()
    {
        let (left, right) = factors(point);
        gemm(
            write,
            MatrixMut::strided(target, row_stride),
            1.0,
            left,
            right,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{forward::convolve, noise},
        *,
    };

    #[test]
    fn odd_sizes_and_any_padding_agree_with_patches() {
        for (padding, height, width) in [(0, 5, 8), (1, 7, 3), (2, 2, 6), (1, 40, 38), (2, 11, 60)]
        {
            let g = Geometry::new(
                &[3, 17, height, width],
                &[20, 17, 3, 3],
                1,
                (padding, padding),
            )
            .expect("the shapes fit");
            let plan = Plan::new(&g).expect("the algorithm applies");
            let (xs, weight) = (noise(3 * g.in_len()), noise(20 * 17 * 9));
            let bias = noise(20);
            let (mut expected, mut ys) = (vec![0.0; 3 * g.out_len()], vec![0.0; 3 * g.out_len()]);
            convolve(&g, &xs, &weight, Some(&bias), &mut expected);
            forward(&plan, &xs, &weight, Some(&bias), &mut ys);
            for (y, expected) in ys.iter().zip(&expected) {
                assert!(
                    (y - expected).abs() < 2e-5,
                    "{y} where patches give {expected}"
                );
            }
        }
    }
}
