//! Activations, gated GELU, shifts per channel.

use super::{
    super::{pointwise, sums},
    agree,
};
use crate::ops::{self, Activation};

#[test]
fn activations_agree_with_the_cpu() {
    for kind in [Activation::Silu, Activation::Gelu, Activation::QuickGelu] {
        agree(
            &[&[3, 217]],
            |t| ops::activation(&t[0], kind),
            |device, v, g| {
                let ys = pointwise::activation(device, kind, v[0], 651)?;
                let dx = pointwise::activation_gradient(device, kind, v[0], g, 651)?;
                Ok((ys, vec![dx]))
            },
        );
    }
}

#[test]
fn gated_gelu_agrees_with_the_cpu() {
    for half in [5, 300] {
        agree(
            &[&[2, 3, 2 * half]],
            |t| ops::geglu(&t[0]),
            |device, v, g| {
                let ys = pointwise::geglu(device, v[0], 6, half)?;
                let dx = pointwise::geglu_gradient(device, v[0], g, 6, half)?;
                Ok((ys, vec![dx]))
            },
        );
    }
}

#[test]
fn shifts_per_channel_agree_with_the_cpu() {
    agree(
        &[&[2, 3, 7, 45], &[2, 3]],
        |t| ops::add_to_channels(&t[0], &t[1]),
        |device, v, g| {
            let ys = pointwise::add_to_channels(device, v[0], v[1], 6, 315)?;
            // The gradient of the images is the result's own.
            let zero = device_copy(device, g, 6 * 315)?;
            let shift = sums::plane_sums(device, g, 6, 315)?;
            Ok((ys, vec![zero, shift]))
        },
    );
}

fn device_copy(
    device: &super::Emulator,
    xs: super::View<'_, super::Memory>,
    len: usize,
) -> candle_core::Result<super::Memory> {
    let values = device.download(xs.memory)?;
    assert_eq!(values.len(), len);
    device.upload(xs.kind, &values)
}
