//! Backward passes against finite differences.

use candle_core::{DType, Device, Tensor, Var};
use diffusion::{
    noise,
    ops::{self, Activation, Mask},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::support::{relative_error, values};

type Result<T> = candle_core::Result<T>;

/// Compares the gradient of `sum(op(inputs) * weights)` with central differences.
///
/// The sum runs in `f64`; a step of 1e-2 balances the `f32` rounding of the operator against its
/// curvature, which the tolerance of 2e-3 (relative to the largest gradient) covers.
fn check(shapes: &[&[usize]], op: impl Fn(&[Tensor]) -> Result<Tensor>) {
    check_within(0.004, shapes, op);
}

/// [`check`] for attention, whose backward pass reads its rounded result.
fn check_attention(shapes: &[&[usize]], op: impl Fn(&[Tensor]) -> Result<Tensor>) {
    check_within(0.008, shapes, op);
}

fn check_within(half: f32, shapes: &[&[usize]], op: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let inputs: Vec<Vec<f32>> = shapes
        .iter()
        .map(|shape| values(&noise::gaussian(&mut rng, *shape, &Device::Cpu).unwrap()))
        .collect();
    let tensor = |index: usize, values: &[f32]| {
        Tensor::from_vec(values.to_vec(), shapes[index], &Device::Cpu).unwrap()
    };
    let plain: Vec<_> = inputs
        .iter()
        .enumerate()
        .map(|(i, v)| tensor(i, v))
        .collect();
    let shape = op(&plain).unwrap().shape().clone();
    let weights = noise::gaussian(&mut rng, shape, &Device::Cpu).unwrap();
    let flat = values(&weights);
    let objective = |tensors: &[Tensor]| -> f64 {
        let ys = values(&op(tensors).unwrap());
        ys.iter()
            .zip(&flat)
            .map(|(y, w)| f64::from(*y) * f64::from(*w))
            .sum()
    };
    let variables: Vec<_> = plain.iter().map(|t| Var::from_tensor(t).unwrap()).collect();
    let tracked: Vec<_> = variables.iter().map(|v| v.as_tensor().clone()).collect();
    let loss = (op(&tracked).unwrap() * &weights)
        .unwrap()
        .sum_all()
        .unwrap();
    let gradients = loss.backward().unwrap();
    for (index, variable) in variables.iter().enumerate() {
        let gradient = values(gradients.get(variable).expect("every input has a gradient"));
        let scale = gradient.iter().fold(0.0_f32, |scale, g| scale.max(g.abs()));
        assert!(scale > 0.0, "input {index} has a zero gradient");
        for position in 0..gradient.len() {
            let shifted = |step: f32| {
                let mut moved = inputs[index].clone();
                moved[position] += step;
                let mut tensors = plain.clone();
                tensors[index] = tensor(index, &moved);
                objective(&tensors)
            };
            let step = 1e-2;
            let expected = (shifted(step) - shifted(-step)) / (2.0 * f64::from(step));
            let difference = (f64::from(gradient[position]) - expected).abs();
            assert!(
                difference < 2e-3 * f64::from(scale),
                "input {index} at {position}: {} by the backward pass, {expected} by differences",
                gradient[position],
            );
        }
    }
    only_tracked_inputs_get_gradients(&plain, &op);
    half_precision_rounds_results_and_gradients(half, &plain, &weights, &op);
}

/// With `bf16` operands, results and gradients are those of `f32` on the same values, rounded.
///
/// Rounding to the nearest of 8 bits is off by 2^-9 at most, twice that at both ends.
fn half_precision_rounds_results_and_gradients(
    tolerance: f32,
    plain: &[Tensor],
    weights: &Tensor,
    op: &impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    let round = |tensor: &Tensor| ops::cast(tensor, DType::BF16).unwrap();
    let run = |dtype: DType| {
        let variable = |tensor: &Tensor| Var::from_tensor(&ops::cast(&round(tensor), dtype)?);
        let variables: Vec<_> = plain.iter().map(|t| variable(t).unwrap()).collect();
        let tensors: Vec<_> = variables.iter().map(|v| v.as_tensor().clone()).collect();
        let ys = op(&tensors).unwrap();
        assert_eq!(ys.dtype(), dtype);
        let wide = ops::cast(&ys, DType::F32).unwrap();
        let weights = ops::cast(&round(weights), DType::F32).unwrap();
        let gradients = (wide.clone() * weights).unwrap().sum_all().unwrap();
        let gradients = gradients.backward().unwrap();
        let gradients = variables.iter().map(|variable| {
            let gradient = gradients.get(variable).expect("every input has a gradient");
            assert_eq!(gradient.dtype(), dtype);
            ops::cast(gradient, DType::F32).unwrap()
        });
        [vec![wide], gradients.collect()].concat()
    };
    let (expected, actual) = (run(DType::F32), run(DType::BF16));
    for (index, (actual, expected)) in actual.iter().zip(&expected).enumerate() {
        let error = relative_error(actual, expected);
        assert!(
            error < tolerance,
            "result or gradient {index} is off by {error}"
        );
    }
    // Masters in f32 under activations in bf16: gradients come in f32.
    let mut mixed: Vec<_> = plain.iter().map(|t| Var::from_tensor(t).unwrap()).collect();
    mixed[0] = Var::from_tensor(&round(&plain[0])).unwrap();
    let tensors: Vec<_> = mixed.iter().map(|v| v.as_tensor().clone()).collect();
    let ys = op(&tensors).unwrap();
    assert_eq!(ys.dtype(), DType::BF16);
    let gradients = ops::cast(&ys, DType::F32).unwrap().sum_all().unwrap();
    let gradients = gradients.backward().unwrap();
    for variable in &mixed {
        assert_eq!(gradients.get(variable).unwrap().dtype(), variable.dtype());
    }
}

/// Freezing all inputs but one leaves the one gradient and computes no other.
fn only_tracked_inputs_get_gradients(plain: &[Tensor], op: &impl Fn(&[Tensor]) -> Result<Tensor>) {
    for index in 0..plain.len() {
        let variable = Var::from_tensor(&plain[index]).unwrap();
        let mut tensors = plain.to_vec();
        tensors[index] = variable.as_tensor().clone();
        let gradients = op(&tensors).unwrap().sum_all().unwrap().backward().unwrap();
        assert!(gradients.get(&variable).is_some());
        for (other, frozen) in plain
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index)
        {
            assert!(
                gradients.get(frozen).is_none(),
                "frozen input {other} got a gradient"
            );
        }
    }
}

#[test]
fn convolution_of_three_by_three() {
    check(&[&[2, 3, 5, 4], &[4, 3, 3, 3], &[4]], |t| {
        ops::conv2d(&t[0], &t[1], Some(&t[2]), 1, 1)
    });
}

#[test]
fn convolution_of_enough_channels_for_tiles() {
    check(&[&[2, 16, 3, 4], &[17, 16, 3, 3], &[17]], |t| {
        ops::conv2d(&t[0], &t[1], Some(&t[2]), 1, 1)
    });
}

#[test]
fn convolution_of_stride_two_with_odd_sides() {
    check(&[&[3, 2, 5, 7], &[3, 2, 3, 3], &[3]], |t| {
        ops::conv2d(&t[0], &t[1], Some(&t[2]), 2, 1)
    });
}

#[test]
fn convolution_of_stride_two_without_padding() {
    check(&[&[2, 2, 6, 5], &[3, 2, 3, 3]], |t| {
        ops::conv2d(&t[0], &t[1], None, 2, 0)
    });
}

#[test]
fn convolution_of_stride_two_padded_after() {
    check(&[&[2, 3, 6, 5], &[4, 3, 3, 3], &[4]], |t| {
        ops::conv2d_padded_after(&t[0], &t[1], Some(&t[2]), 2)
    });
}

#[test]
fn convolution_of_one_by_one() {
    check(&[&[5, 3, 2, 3], &[4, 3, 1, 1], &[4]], |t| {
        ops::conv2d(&t[0], &t[1], Some(&t[2]), 1, 0)
    });
}

#[test]
fn convolution_without_padding_and_with_wide_kernel() {
    check(&[&[2, 2, 5, 6], &[3, 2, 2, 4]], |t| {
        ops::conv2d(&t[0], &t[1], None, 1, 0)
    });
}

#[test]
fn convolution_with_more_padding_than_kernel() {
    check(&[&[2, 2, 3, 3], &[2, 2, 1, 1]], |t| {
        ops::conv2d(&t[0], &t[1], None, 1, 1)
    });
}

#[test]
fn group_normalisation() {
    check(&[&[2, 6, 3, 3], &[6], &[6]], |t| {
        ops::group_norm(&t[0], &t[1], &t[2], 3, 1e-5)
    });
}

#[test]
fn group_normalisation_with_silu() {
    check(&[&[2, 6, 5, 7], &[6], &[6]], |t| {
        ops::group_norm_silu(&t[0], &t[1], &t[2], 2, 1e-5)
    });
}

#[test]
fn layer_normalisation() {
    check(&[&[2, 3, 19], &[19], &[19]], |t| {
        ops::layer_norm(&t[0], &t[1], &t[2], 1e-5)
    });
}

#[test]
fn linear_map_with_and_without_bias() {
    check(&[&[2, 3, 5], &[4, 5], &[4]], |t| {
        ops::linear(&t[0], &t[1], Some(&t[2]))
    });
    check(&[&[7, 5], &[3, 5]], |t| ops::linear(&t[0], &t[1], None));
}

#[test]
fn self_attention() {
    check_attention(&[&[2, 7, 6], &[2, 7, 6], &[2, 7, 6]], |t| {
        ops::attention(&t[0], &t[1], &t[2], 2, Mask::None)
    });
}

#[test]
fn cross_attention_to_another_length() {
    check_attention(&[&[2, 5, 6], &[2, 19, 6], &[2, 19, 6]], |t| {
        ops::attention(&t[0], &t[1], &t[2], 3, Mask::None)
    });
}

#[test]
fn attention_with_a_bias_on_keys() {
    let bias = Tensor::new(
        &[[0.0_f32, -1.0, -1e4, 2.0], [-1e4, 0.0, 0.5, 0.0]],
        &Device::Cpu,
    )
    .unwrap();
    check_attention(&[&[2, 3, 6], &[2, 4, 6], &[2, 4, 6]], |t| {
        ops::attention(&t[0], &t[1], &t[2], 2, Mask::Bias(&bias))
    });
}

#[test]
fn causal_attention() {
    check_attention(&[&[2, 18, 4], &[2, 18, 4], &[2, 18, 4]], |t| {
        ops::attention(&t[0], &t[1], &t[2], 2, Mask::Causal)
    });
}

#[test]
fn attention_over_several_tiles() {
    check_attention(&[&[1, 131, 2], &[1, 3, 2], &[1, 3, 2]], |t| {
        ops::attention(&t[0], &t[1], &t[2], 1, Mask::None)
    });
}

#[test]
fn gated_gelu() {
    check(&[&[3, 5, 14]], |t| ops::geglu(&t[0]));
}

#[test]
fn activations() {
    for kind in [Activation::Silu, Activation::Gelu, Activation::QuickGelu] {
        check(&[&[3, 17]], |t| ops::activation(&t[0], kind));
    }
}

#[test]
fn nearest_upsampling() {
    check(&[&[2, 3, 3, 5]], |t| ops::upsample_nearest(&t[0], 6, 10));
}

#[test]
fn nearest_upsampling_to_odd_sizes() {
    check(&[&[2, 3, 4, 3]], |t| ops::upsample_nearest(&t[0], 7, 5));
    check(&[&[1, 2, 2, 2]], |t| ops::upsample_nearest(&t[0], 5, 2));
}

#[test]
fn images_to_tokens_and_back() {
    check(&[&[2, 19, 3, 7]], |t| ops::to_tokens(&t[0]));
    check(&[&[2, 21, 19]], |t| ops::to_image(&t[0], 3, 7));
}

#[test]
fn sum_of_two() {
    check(&[&[2, 3, 5], &[2, 3, 5]], |t| ops::add(&t[0], &t[1]));
}

#[test]
fn channels_side_by_side() {
    check(&[&[2, 3, 3, 2], &[2, 1, 3, 2]], |t| {
        ops::concat_channels(&t[0], &t[1])
    });
}

#[test]
fn shift_per_channel() {
    check(&[&[2, 3, 3, 5], &[2, 3]], |t| {
        ops::add_to_channels(&t[0], &t[1])
    });
}

#[test]
fn operands_with_gaps_are_accepted() {
    check(&[&[5, 6], &[4, 6]], |t| {
        ops::linear(&t[0].t()?, &t[1].narrow(1, 0, 5)?, None)
    });
    check(&[&[2, 4, 3, 3], &[2, 3, 3, 3]], |t| {
        ops::conv2d(&t[0].narrow(1, 0, 3)?.transpose(2, 3)?, &t[1], None, 1, 1)
    });
}

#[test]
fn shapes_that_disagree_are_errors() {
    let zeros =
        |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
    let image = zeros(&[1, 3, 4, 4]);
    assert!(ops::conv2d(&image, &zeros(&[2, 4, 3, 3]), None, 1, 1).is_err());
    assert!(ops::conv2d(&image, &zeros(&[2, 3, 3, 3]), Some(&zeros(&[3])), 1, 1).is_err());
    assert!(ops::conv2d(&image, &zeros(&[2, 3, 5, 5]), None, 1, 0).is_err());
    assert!(ops::group_norm(&image, &zeros(&[3]), &zeros(&[3]), 2, 1e-5).is_err());
    assert!(ops::layer_norm(&image, &zeros(&[3]), &zeros(&[3]), 1e-5).is_err());
    assert!(ops::linear(&image, &zeros(&[2, 3]), None).is_err());
    let tokens = zeros(&[1, 5, 6]);
    assert!(ops::attention(&tokens, &tokens, &tokens, 4, Mask::None).is_err());
    assert!(
        ops::attention(
            &tokens,
            &zeros(&[1, 4, 6]),
            &zeros(&[1, 4, 6]),
            2,
            Mask::Causal
        )
        .is_err()
    );
    assert!(ops::geglu(&zeros(&[2, 3])).is_err());
    assert!(ops::to_image(&tokens, 2, 3).is_err());
    assert!(ops::add(&image, &zeros(&[1, 3, 4, 5])).is_err());
    assert!(ops::concat_channels(&image, &zeros(&[1, 3, 4, 5])).is_err());
}
