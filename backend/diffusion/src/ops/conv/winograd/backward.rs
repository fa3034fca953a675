//! Backward pass: the transposes of the forward pass's maps, over one part of the batch.

use super::{
    super::super::{gemm::Write, storage::with_scratch},
    POINTS, Plan, Stack, kernel,
    pixels::padded,
    plane, products,
    tiles::{self, Input, Output, Tiles},
};

/// Pixels of one group of images; those of gradients that are not wanted are empty.
struct Pixels<'a> {
    xs: &'a [f32],
    gradient: &'a [f32],
    dx: &'a mut [f32],
}

/// Gradients of the input (with kernels from [`super::transposed_planes`]) and of the kernel (in
/// taps of `[c, o]`); an empty target is not computed.
pub(in super::super) fn backward_part(
    plan: &Plan,
    kernels: &[f32],
    (xs, gradient): (&[f32], &[f32]),
    (dx, dw): (&mut [f32], &mut [f32]),
) {
    let g = &plan.g;
    let group = plan.group();
    let len = if dw.is_empty() {
        0
    } else {
        POINTS * plane(g.channels * g.filters)
    };
    with_scratch(len, |points| {
        let mut write = Write::Replace;
        let mut dx = dx.chunks_mut(group * g.in_len());
        for (xs, gradient) in xs
            .chunks(group * g.in_len())
            .zip(gradient.chunks(group * g.out_len()))
        {
            let dx = dx.next().unwrap_or_default();
            backward_group(plan, kernels, (xs, gradient), (dx, points), &mut write);
        }
        if !dw.is_empty() {
            kernel::fold(points, dw);
        }
    });
}

fn backward_group(
    plan: &Plan,
    kernels: &[f32],
    (xs, gradient): (&[f32], &[f32]),
    (dx, dw): (&mut [f32], &mut [f32]),
    write: &mut Write,
) {
    let images = xs.len() / plan.g.in_len();
    let (inputs, outputs) = (plan.inputs(), plan.outputs());
    let len = |wanted: bool| if wanted { images * inputs.len() } else { 0 };
    with_scratch(len(!dw.is_empty()), |input_pixels| {
        inputs.fill(xs, input_pixels);
        with_scratch(images * outputs.len(), |output_pixels| {
            outputs.fill(gradient, output_pixels);
            with_scratch(len(!dx.is_empty()), |dx_pixels| {
                dx_pixels.fill(0.0);
                for band in plan.bands(images) {
                    let mut pixels = Pixels {
                        xs: input_pixels,
                        gradient: output_pixels,
                        dx: dx_pixels,
                    };
                    backward_band(plan, band, kernels, &mut pixels, dw, *write);
                    *write = Write::Add;
                }
                inputs.extract(dx_pixels, None, dx);
            });
        });
    });
}

fn backward_band(
    plan: &Plan,
    band: Tiles,
    kernels: &[f32],
    pixels: &mut Pixels<'_>,
    dw: &mut [f32],
    write: Write,
) {
    let (inputs, outputs) = (plan.inputs(), plan.outputs());
    let (channels, filters, tiles) = (plan.g.channels, plan.g.filters, band.len());
    let stride = padded(channels);
    with_scratch(POINTS * plane(tiles * padded(filters)), |gradient| {
        tiles::spread(&Output, band, &outputs, pixels.gradient, gradient);
        let gradient = Stack::pixels(gradient, tiles, filters);
        with_scratch(POINTS * plane(tiles * stride), |points| {
            if !dw.is_empty() {
                tiles::spread(&Input, band, &inputs, pixels.xs, points);
                let xs = Stack::pixels(points, tiles, channels);
                products(write, (dw, channels, filters), |point| {
                    (xs.matrix(point).transposed(), gradient.matrix(point))
                });
            }
            if !pixels.dx.is_empty() {
                let kernels = Stack::kernels(kernels, filters, channels);
                products(Write::Replace, (points, tiles, stride), |point| {
                    (gradient.matrix(point), kernels.matrix(point))
                });
                tiles::fold(&Input, band, &inputs, points, pixels.dx);
            }
        });
    });
}
