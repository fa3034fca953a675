//! The maps between pixels and transformed tiles, vectorised over channels.

use pulp::{Simd, WithSimd};

use super::{
    POINTS,
    pixels::{Grid, padded},
    plane,
};

/// Tiles of some rows of some images, numbered image by image and row by row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles {
    pub(super) images: usize,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) columns: usize,
}

impl Tiles {
    pub(super) fn len(&self) -> usize {
        self.images * (self.end - self.start) * self.columns
    }

    /// The first pixel of each tile in grids of `columns` pixels a row and `rows` rows.
    fn corners(self, grid: &Grid) -> impl Iterator<Item = usize> + use<> {
        let (rows, columns) = (grid.rows, grid.columns);
        (0..self.images).flat_map(move |image| {
            (self.start..self.end).flat_map(move |row| {
                (0..self.columns).map(move |column| (image * rows + 2 * row) * columns + 2 * column)
            })
        })
    }
}

/// A side of the convolution: a map of lines of pixels to lines of points, and its transpose.
pub(super) trait Side<const LENGTH: usize> {
    /// Whether tiles overlap, so that the transpose adds.
    const OVERLAPS: bool;

    fn spread<S: Simd>(simd: S, line: [S::f32s; LENGTH]) -> [S::f32s; 4];

    fn fold<S: Simd>(simd: S, points: [S::f32s; 4]) -> [S::f32s; LENGTH];
}

/// The input: `B^T` and `B`.
pub(super) struct Input;

impl Side<4> for Input {
    const OVERLAPS: bool = true;

    #[inline(always)]
    fn spread<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 4] {
        [
            simd.sub_f32s(a, c),
            simd.add_f32s(b, c),
            simd.sub_f32s(c, b),
            simd.sub_f32s(b, d),
        ]
    }

    #[inline(always)]
    fn fold<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 4] {
        [
            a,
            simd.add_f32s(simd.sub_f32s(b, c), d),
            simd.sub_f32s(simd.add_f32s(b, c), a),
            simd.neg_f32s(d),
        ]
    }
}

/// The output: `A` and `A^T`.
pub(super) struct Output;

impl Side<2> for Output {
    const OVERLAPS: bool = false;

    #[inline(always)]
    fn spread<S: Simd>(simd: S, [a, b]: [S::f32s; 2]) -> [S::f32s; 4] {
        [
            a,
            simd.add_f32s(a, b),
            simd.sub_f32s(a, b),
            simd.neg_f32s(b),
        ]
    }

    #[inline(always)]
    fn fold<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
        [
            simd.add_f32s(simd.add_f32s(a, b), c),
            simd.sub_f32s(simd.sub_f32s(b, c), d),
        ]
    }
}

/// Transforms the tiles of `grids` into `planes`: `[16][tiles, channels]`.
pub(super) fn spread<const LENGTH: usize, D: Side<LENGTH>>(
    _side: &D,
    tiles: Tiles,
    grid: &Grid,
    grids: &[f32],
    planes: &mut [f32],
) {
    pulp::Arch::new().dispatch(Spread::<LENGTH, D> {
        tiles,
        grid,
        grids,
        planes,
        side: std::marker::PhantomData,
    });
}

struct Spread<'a, const LENGTH: usize, D> {
    tiles: Tiles,
    grid: &'a Grid,
    grids: &'a [f32],
    planes: &'a mut [f32],
    side: std::marker::PhantomData<D>,
}

impl<const LENGTH: usize, D: Side<LENGTH>> WithSimd for Spread<'_, LENGTH, D> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let registers = padded(self.grid.channels) / S::F32_LANES;
        let (pixels, _) = S::as_simd_f32s(self.grids);
        let (planes, _) = S::as_mut_simd_f32s(self.planes);
        let step = plane(self.tiles.len() * padded(self.grid.channels)) / S::F32_LANES;
        for (tile, corner) in self.tiles.corners(self.grid).enumerate() {
            let lines: [&[S::f32s]; LENGTH] = std::array::from_fn(|row| {
                let start = (corner + row * self.grid.columns) * registers;
                &pixels[start..][..LENGTH * registers]
            });
            let target = &mut planes[tile * registers..][..(POINTS - 1) * step + registers];
            for register in 0..registers {
                let mut rows = [[simd.splat_f32s(0.0); 4]; LENGTH];
                for row in 0..LENGTH {
                    let mut line = [simd.splat_f32s(0.0); LENGTH];
                    for column in 0..LENGTH {
                        line[column] = lines[row][column * registers + register];
                    }
                    rows[row] = D::spread(simd, line);
                }
                for column in 0..4 {
                    let mut line = [simd.splat_f32s(0.0); LENGTH];
                    for row in 0..LENGTH {
                        line[row] = rows[row][column];
                    }
                    let points = D::spread(simd, line);
                    for row in 0..4 {
                        target[(4 * row + column) * step + register] = points[row];
                    }
                }
            }
        }
    }
}

/// The transpose of [`spread`]: writes the tiles, or adds them where they overlap.
pub(super) fn fold<const LENGTH: usize, D: Side<LENGTH>>(
    _side: &D,
    tiles: Tiles,
    grid: &Grid,
    planes: &[f32],
    grids: &mut [f32],
) {
    pulp::Arch::new().dispatch(Fold::<LENGTH, D> {
        tiles,
        grid,
        planes,
        grids,
        side: std::marker::PhantomData,
    });
}

struct Fold<'a, const LENGTH: usize, D> {
    tiles: Tiles,
    grid: &'a Grid,
    planes: &'a [f32],
    grids: &'a mut [f32],
    side: std::marker::PhantomData<D>,
}

impl<const LENGTH: usize, D: Side<LENGTH>> WithSimd for Fold<'_, LENGTH, D> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let registers = padded(self.grid.channels) / S::F32_LANES;
        let (planes, _) = S::as_simd_f32s(self.planes);
        let (pixels, _) = S::as_mut_simd_f32s(self.grids);
        let step = plane(self.tiles.len() * padded(self.grid.channels)) / S::F32_LANES;
        let pitch = self.grid.columns * registers;
        for (tile, corner) in self.tiles.corners(self.grid).enumerate() {
            let source = &planes[tile * registers..][..(POINTS - 1) * step + registers];
            let target =
                &mut pixels[corner * registers..][..(LENGTH - 1) * pitch + LENGTH * registers];
            for register in 0..registers {
                let mut rows = [[simd.splat_f32s(0.0); 4]; LENGTH];
                for column in 0..4 {
                    let mut points = [simd.splat_f32s(0.0); 4];
                    for row in 0..4 {
                        points[row] = source[(4 * row + column) * step + register];
                    }
                    let line = D::fold(simd, points);
                    for row in 0..LENGTH {
                        rows[row][column] = line[row];
                    }
                }
                for row in 0..LENGTH {
                    let line = D::fold(simd, rows[row]);
                    for column in 0..LENGTH {
                        let pixel = &mut target[row * pitch + column * registers + register];
                        *pixel = if D::OVERLAPS {
                            simd.add_f32s(*pixel, line[column])
                        } else {
                            line[column]
                        };
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a transform at an instruction set.
    type Run<'a> = &'a dyn Fn(Spread<'_, 4, Input>);

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let grid = Grid {
            rows: 6,
            columns: 8,
            top: 1,
            left: 1,
            channels: 19,
            height: 4,
            width: 6,
        };
        let tiles = Tiles {
            images: 1,
            start: 0,
            end: 2,
            columns: 3,
        };
        let grids: Vec<f32> = (0..grid.len())
            .map(|index| (index * 7919 % 1009) as f32 / 1009.0 - 0.5)
            .collect();
        let planes = |run: Run<'_>| {
            let mut planes = vec![0.0; POINTS * plane(tiles.len() * padded(grid.channels))];
            run(Spread {
                tiles,
                grid: &grid,
                grids: &grids,
                planes: &mut planes,
                side: std::marker::PhantomData,
            });
            planes
        };
        let expected = planes(&|spread| spread.with_simd(pulp::Scalar));
        assert!(expected.iter().any(|value| *value != 0.0));
        assert!(planes(&|spread| pulp::Arch::new().dispatch(spread)) == expected);
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = pulp::x86::V3::try_new() {
            let ys = planes(&|spread| Simd::vectorize(avx2, spread));
            assert!(ys == expected, "AVX2 gives other bits");
        }
    }
}
