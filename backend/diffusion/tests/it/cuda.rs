//! Everything on a CUDA device against the CPU.
//!
//! `cargo xtask test --only cuda` runs it on a GPU where there is one (last on an NVIDIA H200, all
//! passed), else on a pretended driver.

use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor, Var};
use diffusion::{
    checkpoint::Checkpoints,
    cuda, noise,
    ops::{self, Activation, Mask},
    optimizer::{AdamW, AdamWConfig, Ema, clip_gradients},
    pipeline::Pipeline,
    sample::{SampleConfig, sample},
    unet::UNet,
    weights::{Parameters, Weights},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::support::{config, path, relative_error};

type Result<T> = candle_core::Result<T>;

/// The first device, with the reason in the panic where there is none.
fn device() -> Device {
    cuda::device(0).expect("a CUDA device and its driver")
}

fn on_cpu(tensor: &Tensor) -> Tensor {
    let tensor = tensor.detach().to_device(&Device::Cpu).unwrap();
    tensor.to_dtype(DType::F32).unwrap()
}

/// Result and gradients of an operator on tracked copies of `inputs`.
fn outcome(
    inputs: &[Tensor],
    outer: &Tensor,
    op: &impl Fn(&[Tensor]) -> Result<Tensor>,
) -> Vec<Tensor> {
    let variables: Vec<_> = inputs
        .iter()
        .map(|input| Var::from_tensor(input).unwrap())
        .collect();
    let tracked: Vec<_> = variables.iter().map(|v| v.as_tensor().clone()).collect();
    let ys = op(&tracked).unwrap();
    let loss = (&ys * outer).unwrap().sum_all().unwrap();
    let gradients = loss.backward().unwrap();
    let gradients = variables
        .iter()
        .map(|v| gradients.get(v).expect("tracked").clone());
    std::iter::once(ys)
        .chain(gradients)
        .map(|tensor| on_cpu(&tensor))
        .collect()
}

/// Compares an operator and its gradients with the CPU in both dtypes.
fn agree(what: &str, shapes: &[&[usize]], op: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let device = device();
    // The second leaves room for roundings on the way, which the CPU does not make.
    for (dtype, tolerance) in [(DType::F32, 2e-5), (DType::BF16, 2e-2)] {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let mut normal = |shape: &[usize]| {
            let values = noise::gaussian(&mut rng, shape, &Device::Cpu).unwrap();
            values.to_dtype(dtype).unwrap()
        };
        let inputs: Vec<_> = shapes.iter().map(|shape| normal(shape)).collect();
        let wide: Vec<_> = inputs.iter().map(on_cpu).collect();
        let outer = normal(op(&wide).unwrap().dims());
        let expected = outcome(&wide, &on_cpu(&outer), &op);
        let moved: Vec<_> = inputs
            .iter()
            .map(|input| input.to_device(&device).unwrap())
            .collect();
        let actual = outcome(&moved, &outer.to_device(&device).unwrap(), &op);
        for (index, (actual, expected)) in actual.iter().zip(&expected).enumerate() {
            let error = relative_error(actual, expected);
            assert!(
                error < tolerance,
                "{what} in {dtype:?}: result (0) or gradient {index} is off by {error}"
            );
        }
    }
}

#[test]
#[ignore = "needs cuda"]
fn convolutions_agree_with_the_cpu() {
    for (xs, kernel, stride, padding) in [
        ([3, 16, 12, 10], [24, 16, 3, 3], 1, 1),
        ([2, 16, 13, 9], [8, 16, 3, 3], 2, 1),
        ([2, 16, 12, 10], [8, 16, 3, 3], 2, 0),
        ([2, 16, 5, 7], [12, 16, 1, 1], 1, 0),
    ] {
        agree("conv2d", &[&xs, &kernel, &kernel[..1]], |t| {
            ops::conv2d(&t[0], &t[1], Some(&t[2]), stride, padding)
        });
    }
}

#[test]
#[ignore = "needs cuda"]
fn normalisations_agree_with_the_cpu() {
    agree("group_norm", &[&[2, 64, 9, 7], &[64], &[64]], |t| {
        ops::group_norm(&t[0], &t[1], &t[2], 32, 1e-5)
    });
    agree("group_norm_silu", &[&[2, 64, 9, 7], &[64], &[64]], |t| {
        ops::group_norm_silu(&t[0], &t[1], &t[2], 32, 1e-5)
    });
    agree("layer_norm", &[&[3, 50, 320], &[320], &[320]], |t| {
        ops::layer_norm(&t[0], &t[1], &t[2], 1e-5)
    });
}

#[test]
#[ignore = "needs cuda"]
fn linear_layers_agree_with_the_cpu() {
    agree("linear", &[&[2, 33, 48], &[40, 48], &[40]], |t| {
        ops::linear(&t[0], &t[1], Some(&t[2]))
    });
    agree("linear", &[&[33, 48], &[40, 48]], |t| {
        ops::linear(&t[0], &t[1], None)
    });
}

#[test]
#[ignore = "needs cuda"]
fn attention_agrees_with_the_cpu() {
    let shapes: [&[usize]; 3] = [&[2, 65, 80], &[2, 77, 80], &[2, 77, 80]];
    agree("attention", &shapes, |t| {
        ops::attention(&t[0], &t[1], &t[2], 2, Mask::None)
    });
    agree("biased attention", &shapes, |t| {
        let bias = Tensor::arange(0f32, 154.0, t[0].device())?.affine(-0.1, 3.0)?;
        let bias = bias.reshape((2, 77))?;
        ops::attention(&t[0], &t[1], &t[2], 2, Mask::Bias(&bias))
    });
    agree("causal attention", &[shapes[1]; 3], |t| {
        ops::attention(&t[0], &t[1], &t[2], 2, Mask::Causal)
    });
}

#[test]
#[ignore = "needs cuda"]
fn pointwise_operators_agree_with_the_cpu() {
    for kind in [Activation::Silu, Activation::Gelu, Activation::QuickGelu] {
        agree("activation", &[&[5, 333]], |t| ops::activation(&t[0], kind));
    }
    agree("geglu", &[&[2, 11, 96]], |t| ops::geglu(&t[0]));
    agree("add_to_channels", &[&[2, 7, 5, 9], &[2, 7]], |t| {
        ops::add_to_channels(&t[0], &t[1])
    });
}

#[test]
#[ignore = "needs cuda"]
fn operators_that_move_values_agree_with_the_cpu() {
    agree("upsample_nearest", &[&[2, 3, 5, 7]], |t| {
        ops::upsample_nearest(&t[0], 10, 13)
    });
    agree("to_tokens", &[&[2, 40, 5, 7]], |t| ops::to_tokens(&t[0]));
    agree("to_image", &[&[2, 35, 40]], |t| ops::to_image(&t[0], 5, 7));
    agree("operands with gaps", &[&[5, 6], &[4, 6]], |t| {
        ops::linear(&t[0].t()?, &t[1].narrow(1, 1, 5)?, None)
    });
}

#[test]
#[ignore = "needs cuda"]
fn operands_of_two_dtypes_are_refused_by_name() {
    let device = device();
    let xs = Tensor::zeros((2, 4), DType::BF16, &device).unwrap();
    let weight = Tensor::zeros((3, 4), DType::F32, &device).unwrap();
    let error = ops::linear(&xs, &weight, None).unwrap_err().to_string();
    assert!(error.contains("linear"), "{error}");
    let half = Tensor::zeros((2, 4), DType::F16, &device).unwrap();
    let error = ops::geglu(&half).unwrap_err().to_string();
    assert!(error.contains("geglu"), "{error}");
}

/// Three clipped steps from one start; the parameters and their average.
fn train(device: &Device) -> [Tensor; 2] {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let start = noise::gaussian(&mut rng, (50, 30), device).unwrap();
    let xs = noise::gaussian(&mut rng, (8, 30), device).unwrap();
    let weights: Weights = [("w".to_owned(), start)].into_iter().collect();
    let parameters = Parameters::from_weights(&weights).unwrap();
    let mut average = Ema::new(0.9, &parameters);
    let mut optimizer = AdamW::new(AdamWConfig::default());
    for _ in 0..3 {
        let weight = parameters.get("w").unwrap().as_tensor();
        let ys = ops::linear(&xs, weight, None).unwrap();
        let loss = ys.sqr().unwrap().mean_all().unwrap();
        let mut gradients = loss.backward().unwrap();
        clip_gradients(&parameters, &mut gradients, 0.1).unwrap();
        optimizer.step(&parameters, &gradients).unwrap();
        average.update(&parameters).unwrap();
        // The state goes to a file and back between steps.
        let state = optimizer.to_weights().unwrap();
        optimizer = AdamW::from_weights(AdamWConfig::default(), &state).unwrap();
    }
    let average = average.weights();
    [
        on_cpu(parameters.get("w").unwrap()),
        on_cpu(average.get("w").unwrap()),
    ]
}

#[test]
#[ignore = "needs cuda"]
fn training_steps_agree_with_the_cpu() {
    let (actual, expected) = (train(&device()), train(&Device::Cpu));
    for (actual, expected) in actual.iter().zip(&expected) {
        let error = relative_error(actual, expected);
        assert!(error < 1e-5, "off by {error}");
    }
}

/// The U-Net of a fixture against diffusers, as `unet.rs` does on the CPU.
fn agrees_with_diffusers(
    fixture: &str,
    dtype: DType,
    checkpointed: bool,
    [forward, gradient]: [f32; 2],
) {
    let device = device();
    let checkpoints = checkpointed.then(|| Checkpoints::new(&device).unwrap());
    let file = Weights::load(path(&format!("{fixture}.safetensors")), DType::F32, &device).unwrap();
    let expected = file.with_prefix("gradient.");
    let parameters = Parameters::from_weights(&file.with_prefix("weight.")).unwrap();
    let unet = UNet::new(config(fixture), &parameters.weights()).unwrap();
    let input = |name: &str| file.get(name).unwrap().clone();
    let latents = input("latents").to_dtype(dtype).unwrap();
    let (timesteps, conditions) = (input("timesteps"), input("context").into());
    let prediction = match &checkpoints {
        None => unet.forward(&latents, &timesteps, &conditions),
        Some(checkpoints) => {
            unet.forward_checkpointed(&latents, &timesteps, &conditions, checkpoints)
        }
    };
    let prediction = prediction.unwrap();
    let error = relative_error(&on_cpu(&prediction), &on_cpu(&input("prediction")));
    assert!(error < forward, "{fixture} in {dtype:?} is off by {error}");
    let difference = (prediction.to_dtype(DType::F32).unwrap() - input("target")).unwrap();
    let loss = difference.sqr().unwrap().mean_all().unwrap();
    let gradients = match checkpoints {
        None => loss.backward().unwrap(),
        Some(checkpoints) => checkpoints.backward(&loss).unwrap(),
    };
    for (name, variable) in parameters.iter() {
        let actual = gradients.get(variable).expect("every weight is trained");
        let error = relative_error(&on_cpu(actual), &on_cpu(expected.get(name).unwrap()));
        assert!(error < gradient, "gradient of {name} is off by {error}");
    }
}

#[test]
#[ignore = "needs cuda"]
fn unets_agree_with_diffusers() {
    for fixture in ["unet", "unet_linear"] {
        agrees_with_diffusers(fixture, DType::F32, false, [2e-5, 2e-4]);
        agrees_with_diffusers(fixture, DType::F32, true, [2e-5, 2e-4]);
    }
}

#[test]
#[ignore = "needs cuda"]
fn unets_in_half_precision_are_near_diffusers() {
    for fixture in ["unet", "unet_linear"] {
        agrees_with_diffusers(fixture, DType::BF16, false, [5e-2, 0.3]);
    }
}

/// Text encoders, denoiser, autoencoder and sampler together.
#[test]
#[ignore = "needs cuda"]
fn whole_models_draw_as_on_the_cpu() {
    let config = SampleConfig {
        steps: 4,
        ..SampleConfig::default()
    };
    for family in ["sd1", "sd2", "sdxl"] {
        let folder = path(&format!("families/{family}"));
        let outcome = |device: &Device| {
            let pipeline = Pipeline::load(&folder, device).unwrap();
            let prompts = ["a photo of a cat".to_owned(), String::new()];
            let unet = pipeline.unet().unwrap();
            let go = &mut |_, _| ControlFlow::Continue(());
            let pixels = sample(&pipeline, &unet, &prompts, &[1, 2], &config, go).unwrap();
            assert!(pixels.device().is_cpu(), "pictures come back");
            let latents = pipeline.encode_pixels(&pixels).unwrap();
            assert!(latents.device().same_device(pipeline.device()));
            [pixels, on_cpu(&latents)]
        };
        let (actual, expected) = (outcome(&device()), outcome(&Device::Cpu));
        for (what, (actual, expected)) in ["pixels", "latents"]
            .iter()
            .zip(actual.iter().zip(&expected))
        {
            let error = relative_error(actual, expected);
            assert!(error < 1e-4, "{what} of {family} are off by {error}");
        }
    }
}
