//! Convolutions: kernels, strides, paddings, and patches in pieces.

use super::{super::convolution::Convolution, agree};
use crate::ops::{self, Geometry};

/// Batch, channels, height, width; filters and the kernel's sides; stride and padding.
fn check(xs: [usize; 4], kernel: [usize; 3], [stride, padding]: [usize; 2], budget: usize) {
    let [filters, height, width] = kernel;
    let weight = [filters, xs[1], height, width];
    let geometry = Geometry::new(&xs, &weight, stride, (padding, padding)).unwrap();
    let convolution = Convolution { geometry, budget };
    agree(
        &[&xs, &weight, &[filters]],
        |t| ops::conv2d(&t[0], &t[1], Some(&t[2]), stride, padding),
        |device, v, g| {
            let ys = convolution.forward(device, v[0], v[1], Some(v[2]))?;
            let dx = convolution.input_gradient(device, v[1], g)?;
            let dw = convolution.weight_gradient(device, v[0], g)?;
            Ok((ys, vec![dx, dw, convolution.bias_gradient(device, g)?]))
        },
    );
    agree(
        &[&xs, &weight],
        |t| ops::conv2d(&t[0], &t[1], None, stride, padding),
        |device, v, g| {
            let ys = convolution.forward(device, v[0], v[1], None)?;
            let dx = convolution.input_gradient(device, v[1], g)?;
            Ok((ys, vec![dx, convolution.weight_gradient(device, v[0], g)?]))
        },
    );
}

/// More than any test needs.
const AMPLE: usize = 1 << 20;

#[test]
fn convolutions_of_three_by_three_agree_with_the_cpu() {
    check([3, 4, 7, 5], [6, 3, 3], [1, 1], AMPLE);
}

#[test]
fn convolutions_of_one_by_one_agree_with_the_cpu() {
    check([3, 5, 4, 3], [4, 1, 1], [1, 0], AMPLE);
    check([3, 5, 4, 3], [4, 1, 1], [1, 0], 1);
}

#[test]
fn convolutions_with_strides_and_paddings_agree_with_the_cpu() {
    check([2, 3, 7, 6], [4, 3, 3], [2, 1], AMPLE);
    check([2, 3, 8, 5], [2, 3, 3], [2, 0], AMPLE);
    check([1, 2, 5, 6], [3, 2, 4], [1, 0], AMPLE);
    check([2, 2, 3, 3], [2, 1, 1], [1, 1], AMPLE);
}

#[test]
fn convolutions_in_pieces_agree_with_the_cpu() {
    // 4 * 9 values a patch, 35 patches an image: two images at once, then 13 patches, then one.
    for budget in [2 * 4 * 9 * 35, 4 * 9 * 13, 1] {
        check([3, 4, 7, 5], [6, 3, 3], [1, 1], budget);
    }
    // Pieces of a strided one: 12 patches an image.
    check([2, 3, 7, 6], [4, 3, 3], [2, 1], 3 * 9 * 5);
}
