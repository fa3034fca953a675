//! Forward pass: transform inputs, multiply, transform back.

use rayon::prelude::*;

use super::{
    super::super::{gemm::Write, storage::with_scratch},
    POINTS, Plan, Stack, kernel,
    pixels::padded,
    plane, products,
    tiles::{self, Input, Output, Tiles},
};

/// Convolves a batch; `ys` has the output's size and any content.
pub(in super::super) fn forward(
    plan: &Plan,
    xs: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    ys: &mut [f32],
) {
    let g = &plan.g;
    let kernels = kernel::planes(g, weight);
    let group = plan.group();
    ys.par_chunks_mut(group * g.out_len())
        .zip(xs.par_chunks(group * g.in_len()))
        .for_each(|(ys, xs)| convolve(plan, &kernels, xs, bias, ys));
}

/// Convolves one group of images.
fn convolve(plan: &Plan, kernels: &[f32], xs: &[f32], bias: Option<&[f32]>, ys: &mut [f32]) {
    let images = xs.len() / plan.g.in_len();
    let (inputs, outputs) = (plan.inputs(), plan.outputs());
    if plan.splits_images() {
        for (xs, ys) in xs
            .chunks_exact(plan.g.in_len())
            .zip(ys.chunks_exact_mut(plan.g.out_len()))
        {
            convolve_together(plan, kernels, xs, bias, ys);
        }
        return;
    }
    with_scratch(images * inputs.len(), |input_pixels| {
        inputs.fill(xs, input_pixels);
        with_scratch(images * outputs.len(), |output_pixels| {
            for band in plan.bands(images) {
                convolve_band(plan, band, kernels, input_pixels, output_pixels);
            }
            outputs.extract(output_pixels, bias, ys);
        });
    });
}

/// Convolves one large image, a task a band: there are too few images for all threads.
fn convolve_together(
    plan: &Plan,
    kernels: &[f32],
    xs: &[f32],
    bias: Option<&[f32]>,
    ys: &mut [f32],
) {
    let (inputs, outputs) = (plan.inputs(), plan.outputs());
    with_scratch(inputs.len(), |input_pixels| {
        inputs.fill_together(xs, input_pixels);
        with_scratch(outputs.len(), |output_pixels| {
            let bands: Vec<Tiles> = plan.bands(1).collect();
            let rows = bands.first().map_or(1, |band| band.end - band.start);
            let input_pixels = &*input_pixels;
            output_pixels
                .par_chunks_mut(rows * 2 * outputs.row_len())
                .zip(bands)
                .for_each(|(ys, band)| {
                    // The band as an image of its own: its rows of the input begin where its
                    // first tile does.
                    let xs = &input_pixels[2 * band.start * inputs.row_len()..];
                    let band = Tiles {
                        start: 0,
                        end: band.end - band.start,
                        ..band
                    };
                    convolve_band(plan, band, kernels, xs, ys);
                });
            outputs.extract_together(output_pixels, bias, ys);
        });
    });
}

fn convolve_band(plan: &Plan, band: Tiles, kernels: &[f32], xs: &[f32], ys: &mut [f32]) {
    let (inputs, outputs) = (plan.inputs(), plan.outputs());
    let tiles = band.len();
    let (channels, filters) = (plan.g.channels, plan.g.filters);
    let stride = padded(filters);
    with_scratch(POINTS * plane(tiles * padded(channels)), |spread| {
        tiles::spread(&Input, band, &inputs, xs, spread);
        let left = Stack::pixels(spread, tiles, channels);
        let right = Stack::kernels(kernels, channels, filters);
        with_scratch(POINTS * plane(tiles * stride), |product| {
            products(Write::Replace, (product, tiles, stride), |point| {
                (left.matrix(point), right.matrix(point))
            });
            tiles::fold(&Output, band, &outputs, product, ys);
        });
    });
}
