//! Forward pass of few images: tasks are rows of the output or blocks of filters, because there
//! are too few images to give every thread some.

use rayon::prelude::*;

use super::{
    super::{
        gemm::{Matrix, MatrixMut, gemm},
        storage::with_scratch,
    },
    forward::{fill_rows, padded, with_patches},
    geometry::{COLUMNS, Geometry},
    patches,
};

/// Tasks that keep the threads of a small machine busy; a constant, so that results do not depend
/// on threads.
pub(super) const TASKS: usize = 4;

/// Blocks of filters are a multiple of this.
pub(super) const FILTERS: usize = 16;

/// Large images, a task some rows of the output.
///
/// Patches of a few rows stay in the cache; those of a whole image would not.
pub(super) fn by_rows(
    g: &Geometry,
    xs: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    ys: &mut [f32],
) {
    let rows = COLUMNS.div_ceil(g.out_width);
    for (image, ys) in xs
        .chunks_exact(g.in_len())
        .zip(ys.chunks_exact_mut(g.out_len()))
    {
        let planes = ys.chunks_exact_mut(g.out_pixels());
        let tasks = regroup(planes.map(|plane| plane.chunks_mut(rows * g.out_width)));
        tasks
            .into_par_iter()
            .enumerate()
            .for_each(|(task, planes)| {
                band(g, image, task * rows, (weight, bias), planes);
            });
    }
}

/// Rows of the output from `first` on; `planes` has their pixels for each filter.
fn band(
    g: &Geometry,
    image: &[f32],
    first: usize,
    (weight, bias): (&[f32], Option<&[f32]>),
    planes: Vec<&mut [f32]>,
) {
    let kernel = Matrix::new(weight, g.filters, g.patch_len());
    let columns = planes.first().map_or(0, |plane| plane.len());
    let stride = padded(columns);
    with_scratch(g.filters * columns, |product| {
        let write = fill_rows(bias, product, columns);
        let target = MatrixMut::strided(product, columns);
        if g.is_pointwise() {
            let pixels = &image[first * g.out_width..];
            let patches = Matrix::strided(pixels, g.channels, columns, g.in_pixels());
            gemm(write, target, 1.0, kernel, patches);
        } else {
            with_scratch(g.patch_len() * stride, |buffer| {
                let rows = first..first + columns / g.out_width;
                patches::gather_rows(g, image, rows, buffer, stride);
                let patches = Matrix::strided(buffer, g.patch_len(), columns, stride);
                gemm(write, target, 1.0, kernel, patches);
            });
        }
        for (plane, values) in planes.into_iter().zip(product.chunks_exact(columns)) {
            plane.copy_from_slice(values);
        }
    });
}

/// Small images, a task a block of filters over all of them: each kernel is read once.
pub(super) fn by_filters(
    g: &Geometry,
    xs: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    ys: &mut [f32],
) {
    let block = g.filters.div_ceil(TASKS).next_multiple_of(FILTERS);
    let pixels = g.out_pixels();
    let columns = g.batch * pixels;
    with_patches(g, xs, |patches| {
        let images = ys.chunks_exact_mut(g.out_len());
        let tasks = regroup(images.map(|image| image.chunks_mut(block * pixels)));
        tasks
            .into_par_iter()
            .enumerate()
            .for_each(|(task, images)| {
                let first = task * block;
                let filters = block.min(g.filters - first);
                let kernel = &weight[first * g.patch_len()..][..filters * g.patch_len()];
                let kernel = Matrix::new(kernel, filters, g.patch_len());
                with_scratch(filters * columns, |product| {
                    let write = fill_rows(bias.map(|bias| &bias[first..]), product, columns);
                    let target = MatrixMut::strided(product, columns);
                    gemm(write, target, 1.0, kernel, patches);
                    for (index, image) in images.into_iter().enumerate() {
                        let rows = image.chunks_exact_mut(pixels);
                        for (row, values) in rows.zip(product.chunks_exact(columns)) {
                            row.copy_from_slice(&values[index * pixels..][..pixels]);
                        }
                    }
                });
            });
    });
}

/// The first pieces of all parts, then the second ones, and so on.
pub(super) fn regroup<'a>(
    parts: impl Iterator<Item = impl Iterator<Item = &'a mut [f32]>>,
) -> Vec<Vec<&'a mut [f32]>> {
    let mut groups: Vec<Vec<&mut [f32]>> = Vec::new();
    for part in parts {
        for (index, piece) in part.enumerate() {
            if groups.len() == index {
                groups.push(Vec::new());
            }
            groups[index].push(piece);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::{
        super::{forward::convolve, noise},
        *,
    };

    #[test]
    fn pieces_agree_with_whole_images_for_any_kernel_and_stride() {
        let sizes = [
            (3, 1, 1, 33, 35),
            (3, 2, 1, 9, 7),
            (1, 1, 0, 40, 37),
            (3, 1, 0, 5, 6),
        ];
        for (kernel, stride, padding, height, width) in sizes {
            let g = Geometry::new(
                &[3, 5, height, width],
                &[37, 5, kernel, kernel],
                stride,
                (padding, padding),
            )
            .expect("the shapes fit");
            let (xs, weight) = (noise(3 * g.in_len()), noise(37 * g.patch_len()));
            let bias = noise(37);
            let mut expected = vec![0.0; 3 * g.out_len()];
            convolve(&g, &xs, &weight, Some(&bias), &mut expected);
            for way in [by_rows, by_filters] {
                let mut ys = vec![0.0; 3 * g.out_len()];
                way(&g, &xs, &weight, Some(&bias), &mut ys);
                for (y, expected) in ys.iter().zip(&expected) {
                    assert!(
                        (y - expected).abs() < 1e-5,
                        "{y} where whole images give {expected}"
                    );
                }
            }
        }
    }
}
