//! Upsampling and transposes.

use super::{
    super::shape::{Upsample, transpose},
    agree,
};
use crate::ops;

#[test]
fn upsampling_to_any_size_agrees_with_the_cpu() {
    for (from, to) in [
        ([3, 5], [6, 10]),
        ([3, 5], [5, 9]),
        ([4, 4], [7, 4]),
        ([1, 13], [3, 40]),
    ] {
        let sizes = Upsample {
            planes: 6,
            from,
            to,
        };
        agree(
            &[&[2, 3, from[0], from[1]]],
            |t| ops::upsample_nearest(&t[0], to[0], to[1]),
            |device, v, g| {
                let ys = sizes.forward(device, v[0])?;
                Ok((ys, vec![sizes.backward(device, g)?]))
            },
        );
    }
}

#[test]
fn images_to_tokens_and_back_agree_with_the_cpu() {
    let (channels, height, width) = (37, 3, 23);
    let positions = height * width;
    agree(
        &[&[2, channels, height, width]],
        |t| ops::to_tokens(&t[0]),
        |device, v, g| {
            let ys = transpose(device, v[0], 2, [channels, positions])?;
            Ok((ys, vec![transpose(device, g, 2, [positions, channels])?]))
        },
    );
    agree(
        &[&[2, positions, channels]],
        |t| ops::to_image(&t[0], height, width),
        |device, v, g| {
            let ys = transpose(device, v[0], 2, [positions, channels])?;
            Ok((ys, vec![transpose(device, g, 2, [channels, positions])?]))
        },
    );
}
