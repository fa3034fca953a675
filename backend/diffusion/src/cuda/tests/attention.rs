//! Attention: one tile and several, masks, and head sizes.

use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{
    super::{
        attention::{Attention, Inputs},
        executor::{Kind, View},
    },
    agree, normal,
};
use crate::ops::{self, Mask};

fn check(sizes: Attention, biased: bool) {
    let Attention {
        batch,
        queries,
        keys,
        heads,
        head,
        ..
    } = sizes;
    let channels = heads * head;
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let mut bias = normal(&mut rng, &[batch, keys], Kind::F32);
    // A key that is as good as absent.
    bias[keys - 1] = -1e4;
    let tensor = Tensor::from_vec(bias.clone(), (batch, keys), &Device::Cpu).unwrap();
    agree(
        &[
            &[batch, queries, channels],
            &[batch, keys, channels],
            &[batch, keys, channels],
        ],
        |t| {
            let mask = match (sizes.causal, biased) {
                (true, _) => Mask::Causal,
                (_, true) => Mask::Bias(&tensor),
                _ => Mask::None,
            };
            ops::attention(&t[0], &t[1], &t[2], heads, mask)
        },
        |device, v, g| {
            let bias = device.upload(Kind::F32, &bias)?;
            let inputs = Inputs {
                q: v[0],
                k: v[1],
                v: v[2],
                bias: biased.then(|| View::new(&bias, Kind::F32)),
            };
            let ys = sizes.forward(device, &inputs)?;
            Ok((ys, sizes.backward(device, &inputs, g)?.into()))
        },
    );
}

const SIZES: Attention = Attention {
    batch: 2,
    queries: 11,
    keys: 11,
    heads: 3,
    head: 5,
    causal: false,
    budget: 0,
};

#[test]
fn self_attention_agrees_with_the_cpu() {
    check(SIZES, false);
}

#[test]
fn attention_over_several_tiles_agrees_with_the_cpu() {
    // Tiles of four queries, and of one.
    for budget in [4 * 3 * 11 + 7, 1] {
        check(Attention { budget, ..SIZES }, false);
    }
}

#[test]
fn causal_attention_agrees_with_the_cpu() {
    for budget in [0, 4 * 3 * 11] {
        let causal = true;
        check(
            Attention {
                causal,
                budget,
                ..SIZES
            },
            false,
        );
    }
}

#[test]
fn attention_with_a_bias_per_key_agrees_with_the_cpu() {
    for budget in [0, 2 * 3 * 77] {
        check(
            Attention {
                keys: 77,
                budget,
                ..SIZES
            },
            true,
        );
    }
}

#[test]
fn heads_of_160_channels_and_many_keys_agree_with_the_cpu() {
    let sizes = Attention {
        batch: 1,
        queries: 3,
        keys: 300,
        heads: 2,
        head: 160,
        ..SIZES
    };
    check(sizes, false);
}
