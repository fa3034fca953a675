//! Whole models at `bf16`, with masters in `f32`.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use diffusion::{
    checkpoint::Checkpoints,
    lora::{Lora, LoraConfig},
    ops,
    optimizer::{Accumulator, AdamW, AdamWConfig, MomentPrecision},
    text::TextEncoder,
    unet::UNet,
    vae::AutoencoderKl,
    weights::{Parameters, Weights},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::support::{config, tensors, values};

/// Euclidean distance relative to the expected norm.
fn distance(actual: &Tensor, expected: &Tensor) -> f64 {
    let (actual, expected) = (values(actual), values(expected));
    let norm = |terms: &mut dyn Iterator<Item = f32>| {
        terms.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt()
    };
    norm(&mut actual.iter().zip(&expected).map(|(a, b)| a - b))
        / norm(&mut expected.iter().copied())
}

/// Prediction, gradients and loss of the U-Net fixture.
fn run(file: &Weights, dtype: DType) -> (Tensor, BTreeMap<String, Tensor>, Tensor) {
    let parameters = Parameters::from_weights(&file.with_prefix("weight.")).unwrap();
    let unet = UNet::new(config("unet"), &parameters.weights()).unwrap();
    let input = |name: &str| file.get(name).unwrap().clone();
    let latents = ops::cast(&input("latents"), dtype).unwrap();
    let context = input("context").into();
    let ys = unet
        .forward(&latents, &input("timesteps"), &context)
        .unwrap();
    assert_eq!(ys.dtype(), dtype);
    let prediction = ops::cast(&ys, DType::F32).unwrap();
    let loss = (&prediction - input("target")).unwrap().sqr().unwrap();
    let loss = loss.mean_all().unwrap();
    let store = loss.backward().unwrap();
    let gradients = parameters.iter().map(|(name, variable)| {
        let gradient = store.get(variable).expect("every weight has a gradient");
        assert_eq!(gradient.dtype(), DType::F32);
        assert!(values(gradient).iter().all(|value| value.is_finite()));
        assert!(values(gradient).iter().any(|value| *value != 0.0), "{name}");
        (name.to_owned(), gradient.clone())
    });
    let gradients = gradients.collect();
    (prediction, gradients, loss)
}

#[test]
fn unet_is_as_close_to_full_precision_as_pytorch_is() {
    let file = tensors("unet");
    let theirs = tensors("half_precision");
    let theirs = |name: &str| f64::from(values(theirs.get(name).unwrap())[0]);
    let (prediction, gradients, _) = run(&file, DType::BF16);
    let error = distance(&prediction, file.get("prediction").unwrap());
    // Their order of roundings is another, so only the size of the errors agrees.
    assert!(error < 1.5 * theirs("prediction"), "prediction: {error}");
    let mut total = (0.0, 0.0);
    for (name, gradient) in &gradients {
        let name = format!("gradient.{name}");
        let error = distance(gradient, file.get(&name).unwrap());
        let reference = theirs(&name);
        assert!(
            error < 3.0 * reference + 0.01,
            "{name}: {error}, PyTorch {reference}"
        );
        total = (total.0 + error, total.1 + reference);
    }
    assert!(total.0 < 1.2 * total.1, "{total:?}");
}

#[test]
fn graph_of_half_precision_takes_half_the_memory() {
    let file = tensors("unet");
    let bytes = |dtype: DType| {
        let (_, _, loss) = run(&file, dtype);
        let nodes = loss.sorted_nodes();
        let activations = nodes.iter().filter(|node| !node.is_variable());
        let size = |node: &&&Tensor| node.elem_count() * node.dtype().size_in_bytes();
        // Copies of weights count for nothing here: they do not grow with the batch.
        let masters: Vec<_> = nodes.iter().filter(|node| node.is_variable()).collect();
        let is_copy = |node: &&Tensor| masters.iter().any(|master| master.dims() == node.dims());
        let kept = activations.filter(|node| !is_copy(node));
        kept.map(|node| size(&node)).sum::<usize>()
    };
    let (full, half) = (bytes(DType::F32), bytes(DType::BF16));
    assert!(half * 100 < full * 52, "{half} bytes, in full {full}");
}

#[test]
fn text_encoder_computes_in_half_precision() {
    let file = tensors("text");
    let ids = file.get("ids").unwrap().to_dtype(DType::U32).unwrap();
    let parameters = Parameters::from_weights(&file.with_prefix("weight.")).unwrap();
    let encoder = TextEncoder::new(config("text"), &parameters.weights()).unwrap();
    let states = encoder.computing_in(DType::BF16).forward(&ids).unwrap();
    assert_eq!(states.dtype(), DType::BF16);
    let states = ops::cast(&states, DType::F32).unwrap();
    let error = distance(&states, file.get("states").unwrap());
    assert!(error < 0.02, "states are off by {error}");
    let loss = (states - file.get("target").unwrap()).unwrap();
    let gradients = loss.sqr().unwrap().mean_all().unwrap().backward().unwrap();
    for (name, variable) in parameters.iter() {
        let gradient = gradients
            .get(variable)
            .expect("every weight has a gradient");
        assert_eq!(gradient.dtype(), DType::F32);
        if !name.ends_with("k_proj.bias") {
            let expected = file.get(&format!("gradient.{name}")).unwrap();
            let error = distance(gradient, expected);
            assert!(error < 0.1, "gradient of {name} is off by {error}");
        }
    }
}

#[test]
fn autoencoder_takes_half_precision() {
    let file = tensors("vae");
    let weights = file.with_prefix("weight.");
    let vae = AutoencoderKl::new(config("vae"), &weights).unwrap();
    let half = |name: &str| ops::cast(file.get(name).unwrap(), DType::BF16).unwrap();
    let latents = vae.encode(&half("pixels")).unwrap();
    assert_eq!(latents.dtype(), DType::BF16);
    // Images are decoded in f32 whatever the latents are.
    let decoded = vae.decode(&half("latents")).unwrap();
    for (actual, name) in [(latents, "latents"), (decoded, "decoded")] {
        let actual = ops::cast(&actual, DType::F32).unwrap();
        let error = distance(&actual, file.get(name).unwrap());
        assert!(error < 0.02, "{name} are off by {error}");
    }
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let drawn = vae.encode_sample(&half("pixels"), &mut rng).unwrap();
    assert_eq!(drawn.dtype(), DType::BF16);
}

#[test]
fn adapters_train_with_everything_that_saves_memory() {
    let file = tensors("unet");
    let weights = file.with_prefix("weight.");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let settings = LoraConfig {
        rank: 8,
        alpha: 8.0,
        targets: ["attn*", "conv1", "conv2"]
            .map(|end| format!("*{end}*"))
            .into(),
        ..LoraConfig::default()
    };
    let lora = Lora::new(&settings, &weights, &mut rng).unwrap();
    let unet = UNet::new(config("unet"), &lora.over(&weights).unwrap()).unwrap();
    let mut optimizer = AdamW::new(AdamWConfig {
        lr: 1e-2,
        moments: MomentPrecision::EightBit,
        ..AdamWConfig::default()
    });
    let input = |name: &str| file.get(name).unwrap();
    let context = input("context").clone().into();
    let latents = ops::cast(input("latents"), DType::BF16).unwrap();
    let mut losses = Vec::new();
    for _ in 0..30 {
        let mut sum = Accumulator::new();
        let checkpoints = Checkpoints::new(&Device::Cpu).unwrap();
        let ys = unet
            .forward_checkpointed(&latents, input("timesteps"), &context, &checkpoints)
            .unwrap();
        let error = (ops::cast(&ys, DType::F32).unwrap() - input("target")).unwrap();
        let loss = error.sqr().unwrap().mean_all().unwrap();
        let mut gradients = checkpoints.backward(&loss).unwrap();
        sum.add(lora.parameters(), &mut gradients, 1.0).unwrap();
        optimizer.step(lora.parameters(), &sum.finish()).unwrap();
        losses.push(loss.to_scalar::<f32>().unwrap());
    }
    assert!(losses[29] < 0.5 * losses[0], "{losses:?}");
}
