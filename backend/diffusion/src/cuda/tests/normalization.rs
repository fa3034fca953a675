//! Group and layer normalisation.

use super::{
    super::normalization::{GroupNorm, LayerNorm, Operands},
    agree,
};
use crate::ops;

fn groups(batch: usize, channels: usize, groups: usize, side: usize, silu: bool) {
    let sizes = GroupNorm {
        batch,
        channels,
        groups,
        positions: side * side,
        epsilon: 1e-5,
        silu,
    };
    let norm = if silu {
        ops::group_norm_silu
    } else {
        ops::group_norm
    };
    agree(
        &[&[batch, channels, side, side], &[channels], &[channels]],
        |t| norm(&t[0], &t[1], &t[2], groups, 1e-5),
        |device, v, g| {
            let operands = Operands {
                xs: v[0],
                weight: v[1],
                bias: v[2],
            };
            let ys = sizes.forward(device, &operands)?;
            Ok((ys, sizes.backward(device, &operands, g)?.into()))
        },
    );
}

#[test]
fn group_normalisation_agrees_with_the_cpu() {
    groups(2, 6, 3, 5, false);
    groups(1, 8, 1, 19, false);
}

#[test]
fn group_normalisation_with_silu_agrees_with_the_cpu() {
    groups(2, 6, 2, 7, true);
    groups(3, 70, 2, 3, true);
}

#[test]
fn layer_normalisation_agrees_with_the_cpu() {
    for (rows, length) in [(6, 19), (21, 77), (1030, 5)] {
        let sizes = LayerNorm {
            rows,
            length,
            epsilon: 1e-5,
        };
        agree(
            &[&[rows, length], &[length], &[length]],
            |t| ops::layer_norm(&t[0], &t[1], &t[2], 1e-5),
            |device, v, g| {
                let operands = Operands {
                    xs: v[0],
                    weight: v[1],
                    bias: v[2],
                };
                let ys = sizes.forward(device, &operands)?;
                let (dx, sums) = sizes.backward(device, [v[0], v[1]], g, true)?;
                let [dw, db] = sums.expect("asked for");
                Ok((ys, vec![dx, dw, db]))
            },
        );
    }
}
