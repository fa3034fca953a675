//! Images with their channels last, in a grid that whole tiles cover.

use rayon::prelude::*;

use super::super::super::simd::{self, LANES};

/// Rows of a grid that one task fills.
const ROWS: usize = 8;

/// A square of channels and pixels.
type Block = [f32; LANES * LANES];

/// Distance of pixels: channels, filled up to whole registers.
pub(super) fn padded(channels: usize) -> usize {
    channels.next_multiple_of(LANES)
}

/// A grid of pixels and the place of the image in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) top: usize,
    pub(super) left: usize,
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

impl Grid {
    /// Values of one grid.
    pub(super) fn len(&self) -> usize {
        self.rows * self.columns * padded(self.channels)
    }

    /// Values of one row of the grid.
    pub(super) fn row_len(&self) -> usize {
        self.columns * padded(self.channels)
    }

    fn plane(&self) -> usize {
        self.height * self.width
    }

    /// Where the pixels of an image start in its grid, row by row.
    #[inline(always)]
    fn positions(&self) -> impl Iterator<Item = usize> + use<> {
        let Self { columns, width, .. } = *self;
        let step = padded(self.channels);
        let first = self.top * columns + self.left;
        (0..self.height).flat_map(move |row| {
            (0..width).map(move |column| (first + row * columns + column) * step)
        })
    }

    /// Writes images `[c, h, w]` into grids `[rows, columns, c]`, zeros around them.
    pub(super) fn fill(&self, images: &[f32], grids: &mut [f32]) {
        let pairs = images
            .chunks_exact(self.channels * self.plane())
            .zip(grids.chunks_exact_mut(self.len()));
        for (image, grid) in pairs {
            self.clear_border(grid);
            let blocks = image.chunks(LANES * self.plane());
            for (block, planes) in blocks.enumerate() {
                simd::vectorize(
                    #[inline(always)]
                    || self.fill_block((planes, self.plane(), 0), block * LANES, grid),
                );
            }
        }
    }

    /// [`Grid::fill`] for one image, a task some rows of the grid.
    pub(super) fn fill_together(&self, image: &[f32], grid: &mut [f32]) {
        let tasks = grid.par_chunks_mut(ROWS * self.row_len()).enumerate();
        tasks.for_each(|(index, target)| {
            let (part, offset) = self.part(index * ROWS, target.len() / self.row_len());
            part.clear_border(target);
            for (block, planes) in image.chunks(LANES * self.plane()).enumerate() {
                simd::vectorize(
                    #[inline(always)]
                    || part.fill_block((planes, self.plane(), offset), block * LANES, target),
                );
            }
        });
    }

    /// Some rows of the grid as a grid of their own, and where its pixels begin in a plane.
    fn part(&self, first: usize, rows: usize) -> (Self, usize) {
        let start = first.saturating_sub(self.top).min(self.height);
        let end = (first + rows).saturating_sub(self.top).min(self.height);
        let part = Self {
            rows,
            top: self.top.saturating_sub(first),
            height: end - start,
            ..*self
        };
        (part, start * self.width)
    }

    fn clear_border(&self, grid: &mut [f32]) {
        let step = padded(self.channels);
        let (start, end) = (self.left * step, (self.left + self.width) * step);
        for (row, pixels) in grid.chunks_exact_mut(self.columns * step).enumerate() {
            if (self.top..self.top + self.height).contains(&row) {
                pixels[..start].fill(0.0);
                pixels[end..].fill(0.0);
            } else {
                pixels.fill(0.0);
            }
        }
    }

    /// A block of channels, from planes that are `distance` apart to the grid; the grid's pixels
    /// begin at `offset` in each plane.
    #[inline(always)]
    fn fill_block(
        &self,
        (planes, distance, offset): (&[f32], usize, usize),
        channel: usize,
        grid: &mut [f32],
    ) {
        let plane = self.plane();
        let mut block = [0.0; LANES * LANES];
        let mut positions = self.positions();
        for start in (0..plane).step_by(LANES) {
            let taken = LANES.min(plane - start);
            for (row, values) in block
                .chunks_exact_mut(LANES)
                .zip(planes.chunks_exact(distance))
            {
                copy(&values[offset + start..][..taken], row);
            }
            let pixels = transpose(&block);
            for (pixel, position) in pixels
                .chunks_exact(LANES)
                .zip(positions.by_ref().take(taken))
            {
                grid[position + channel..][..LANES].copy_from_slice(pixel);
            }
        }
    }

    /// Writes the images out of grids, with a bias per channel.
    pub(super) fn extract(&self, grids: &[f32], bias: Option<&[f32]>, images: &mut [f32]) {
        let pairs = images
            .chunks_exact_mut(self.channels * self.plane())
            .zip(grids.chunks_exact(self.len()));
        for (image, grid) in pairs {
            let blocks = image.chunks_mut(LANES * self.plane());
            for (block, planes) in blocks.enumerate() {
                self.extract_planes(grid, block * LANES, bias, planes);
            }
        }
    }

    /// [`Grid::extract`] for one image, a task a block of channels.
    pub(super) fn extract_together(&self, grid: &[f32], bias: Option<&[f32]>, image: &mut [f32]) {
        let blocks = image.par_chunks_mut(LANES * self.plane()).enumerate();
        blocks.for_each(|(block, planes)| self.extract_planes(grid, block * LANES, bias, planes));
    }

    fn extract_planes(
        &self,
        grid: &[f32],
        channel: usize,
        bias: Option<&[f32]>,
        planes: &mut [f32],
    ) {
        let mut shift = [0.0; LANES];
        if let Some(bias) = bias {
            copy(&bias[channel..], &mut shift);
        }
        simd::vectorize(
            #[inline(always)]
            || self.extract_block(grid, channel, &shift, planes),
        );
    }

    /// A block of channels, from the grid to `planes`.
    #[inline(always)]
    fn extract_block(
        &self,
        grid: &[f32],
        channel: usize,
        shift: &[f32; LANES],
        planes: &mut [f32],
    ) {
        let plane = self.plane();
        let mut block = [0.0; LANES * LANES];
        let mut positions = self.positions();
        for start in (0..plane).step_by(LANES) {
            let taken = LANES.min(plane - start);
            for (pixel, position) in block
                .chunks_exact_mut(LANES)
                .zip(positions.by_ref().take(taken))
            {
                let source = &grid[position + channel..][..LANES];
                for ((value, x), shift) in pixel.iter_mut().zip(source).zip(shift) {
                    *value = x + shift;
                }
            }
            let rows = transpose(&block);
            for (row, values) in rows.chunks_exact(LANES).zip(planes.chunks_exact_mut(plane)) {
                copy(row, &mut values[start..][..taken]);
            }
        }
    }
}

/// Copies as much as the shorter slice holds; whole registers without a call.
#[inline(always)]
fn copy(source: &[f32], target: &mut [f32]) {
    if let (Some(source), Some(target)) = (source.first_chunk(), target.first_chunk_mut::<LANES>())
    {
        *target = *source;
        return;
    }
    for (value, x) in target.iter_mut().zip(source) {
        *value = *x;
    }
}

/// Transposes a block: interleaving the halves of the 2^8 values turns the 8 bits of an index
/// by one, so that four times exchanges row and column.
#[inline(always)]
fn transpose(block: &Block) -> Block {
    interleave(&interleave(&interleave(&interleave(block))))
}

#[inline(always)]
fn interleave(block: &Block) -> Block {
    let mut target = [0.0; LANES * LANES];
    let (low, high) = block.split_at(LANES * LANES / 2);
    for ((pair, low), high) in target.chunks_exact_mut(2).zip(low).zip(high) {
        pair[0] = *low;
        pair[1] = *high;
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_odd_sizes_come_back_from_their_grid() {
        let grid = Grid {
            rows: 8,
            columns: 10,
            top: 1,
            left: 2,
            channels: 19,
            height: 5,
            width: 7,
        };
        let images: Vec<f32> = (0..2 * 19 * 35_u16).map(f32::from).collect();
        let mut grids = vec![f32::NAN; 2 * grid.len()];
        grid.fill(&images, &mut grids);
        assert!(grids[..padded(19)].iter().all(|value| *value == 0.0));
        let pixel = &grids[(3 * 10 + 4) * padded(19)..][..19];
        let expected: Vec<f32> = (0..19).map(|channel| images[channel * 35 + 16]).collect();
        assert_eq!(pixel, expected);
        let mut back = vec![0.0; images.len()];
        grid.extract(&grids, None, &mut back);
        assert_eq!(back, images);
    }
}
