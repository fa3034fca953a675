//! Low-rank adapters against peft and diffusers.

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use diffusion::{
    checkpoint::Checkpoints,
    lora::{self, Component, Lora, LoraConfig, LoraInit, Naming},
    optimizer::{AdamW, AdamWConfig},
    text::TextEncoder,
    unet::UNet,
    weights::{Parameters, Weights},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::support::{config, path, relative_error, tensors, values};

fn unet_weights() -> Weights {
    tensors("unet").with_prefix("weight.")
}

/// The adapter of the fixture, as diffusers saved it.
fn adapter() -> Lora {
    let file = path("lora_diffusers.safetensors");
    let lora = lora::load(file, Component::UNet, &unet_weights()).unwrap();
    lora.expect("the file has an adapter for the U-Net")
}

fn predict(weights: &Weights) -> Tensor {
    let file = tensors("unet");
    let input = |name: &str| file.get(name).unwrap().clone();
    let unet = UNet::new(config("unet"), weights).unwrap();
    let context = input("context").into();
    unet.forward(&input("latents"), &input("timesteps"), &context)
        .unwrap()
}

fn loss(prediction: &Tensor) -> Tensor {
    let target = tensors("unet").get("target").unwrap().clone();
    let error = (prediction - target).unwrap();
    error.sqr().unwrap().mean_all().unwrap()
}

#[test]
fn gradients_and_twenty_steps_agree_with_peft() {
    let file = tensors("lora");
    let lora = adapter();
    let weights = lora.over(&unet_weights()).unwrap();
    let prediction = predict(&weights);
    let error = relative_error(&prediction, file.get("prediction").unwrap());
    assert!(error < 1e-5, "prediction is off by {error}");
    let mut optimizer = AdamW::new(AdamWConfig {
        lr: 1e-3,
        ..AdamWConfig::default()
    });
    let (expected, end) = (file.with_prefix("gradient."), file.with_prefix("end."));
    assert_eq!(expected.len(), lora.parameters().len());
    for step in 0..20 {
        let gradients = loss(&predict(&weights)).backward().unwrap();
        for (name, variable) in lora.parameters().iter().filter(|_| step == 0) {
            let gradient = gradients.get(variable).expect("adapters have gradients");
            let error = relative_error(gradient, expected.get(name).unwrap());
            assert!(error < 1e-4, "gradient of {name} is off by {error}");
        }
        optimizer.step(lora.parameters(), &gradients).unwrap();
    }
    for (name, variable) in lora.parameters().iter() {
        let error = relative_error(variable, end.get(name).unwrap());
        assert!(error < 1e-4, "{name} is off by {error} after twenty steps");
    }
}

#[test]
fn frozen_weights_get_no_gradients() {
    let lora = adapter();
    let weights = lora.over(&unet_weights()).unwrap();
    let gradients = loss(&predict(&weights)).backward().unwrap();
    for (name, tensor) in weights.iter() {
        let is_adapter = lora.parameters().get(name).is_some();
        assert_eq!(gradients.get(tensor).is_some(), is_adapter, "{name}");
    }
}

#[test]
fn checkpoints_reach_the_adapters() {
    let (lora, file) = (adapter(), tensors("unet"));
    let weights = lora.over(&unet_weights()).unwrap();
    let plain = loss(&predict(&weights)).backward().unwrap();
    let checkpoints = Checkpoints::new(&Device::Cpu).unwrap();
    let unet = UNet::new(config("unet"), &weights).unwrap();
    let input = |name: &str| file.get(name).unwrap().clone();
    let context = input("context").into();
    let prediction = unet.forward_checkpointed(
        &input("latents"),
        &input("timesteps"),
        &context,
        &checkpoints,
    );
    let gradients = checkpoints.backward(&loss(&prediction.unwrap())).unwrap();
    for (name, variable) in lora.parameters().iter() {
        let error = relative_error(
            gradients.get(variable).expect("a gradient"),
            plain.get(variable).expect("a gradient"),
        );
        // Blocks add gradients in another order: 1.2e-6 with AVX2, less with AVX-512.
        assert!(error < 1e-5, "gradient of {name} is off by {error}");
    }
}

#[test]
fn both_namings_load_as_diffusers_loads_them() {
    let expected = tensors("lora").with_prefix("start.");
    for name in ["lora_diffusers", "lora_kohya"] {
        let file = path(&format!("{name}.safetensors"));
        let lora = lora::load(&file, Component::UNet, &unet_weights()).unwrap();
        let lora = lora.expect("an adapter");
        for (name, tensor) in expected.iter() {
            let variable = lora.parameters().get(name).expect("the same layers");
            assert_eq!(values(variable), values(tensor), "{name}");
        }
        let prediction = predict(&lora.over(&unet_weights()).unwrap());
        let reference = tensors("lora");
        let error = relative_error(&prediction, reference.get("prediction").unwrap());
        assert!(error < 1e-5, "{name}: prediction is off by {error}");
        let text = tensors("text").with_prefix("weight.");
        let none = lora::load(&file, Component::TextEncoder, &text).unwrap();
        assert!(none.is_none());
    }
}

/// `generate_training.py` loads the fixtures in diffusers and compares predictions.
#[test]
fn saved_files_are_those_that_were_checked_with_diffusers() {
    let folder = tempfile::tempdir().unwrap();
    for (name, naming) in [
        ("lora_saved_diffusers", Naming::Diffusers),
        ("lora_saved_kohya", Naming::Kohya),
    ] {
        let saved: PathBuf = folder.path().join(name);
        let parts = [(Component::UNet, &adapter())];
        lora::save(&saved, naming, &parts, DType::F32).unwrap();
        let checked = path(&format!("{name}.safetensors"));
        if std::env::var_os("DIFFUSION_REWRITE_FIXTURES").is_some() {
            std::fs::copy(&saved, &checked).unwrap();
        }
        let bytes = |path: &PathBuf| std::fs::read(path).unwrap();
        assert!(bytes(&saved) == bytes(&checked), "{name} changed");
    }
}

#[test]
fn merged_weights_predict_the_same() {
    let lora = adapter();
    let merged = lora.merged(&unet_weights()).unwrap();
    assert_eq!(merged.len(), unet_weights().len());
    let expected = predict(&lora.over(&unet_weights()).unwrap());
    let error = relative_error(&predict(&merged), &expected);
    assert!(error < 1e-5, "off by {error}");
}

#[test]
fn fresh_adapters_change_nothing_and_depend_on_the_seed() {
    let weights = unet_weights();
    for init in [LoraInit::Gaussian, LoraInit::Kaiming] {
        let settings = LoraConfig {
            init,
            ..LoraConfig::default()
        };
        let fresh = |seed: u64| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            Lora::new(&settings, &weights, &mut rng).unwrap()
        };
        let lora = fresh(1);
        // Two attentions of a transformer with four layers each, two matrices a layer.
        assert_eq!(lora.parameters().len() % 16, 0);
        let prediction = predict(&lora.over(&weights).unwrap());
        assert_eq!(values(&prediction), values(&predict(&weights)));
        let down = |lora: &Lora| {
            let mut downs = lora.parameters().iter();
            values(downs.next().expect("an adapter").1)
        };
        assert_eq!(down(&lora), down(&fresh(1)));
        assert_ne!(down(&lora), down(&fresh(2)));
    }
}

#[test]
fn text_encoders_take_adapters() {
    let file = tensors("text");
    let weights = file.with_prefix("weight.");
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let lora = Lora::new(&LoraConfig::text(), &weights, &mut rng).unwrap();
    // `up` away from zero.
    let moved: Weights = (lora.parameters().iter())
        .map(|(name, variable)| (name.to_owned(), (variable.as_tensor() + 0.1).unwrap()))
        .collect();
    lora.parameters().assign(&moved).unwrap();
    let ids = file.get("ids").unwrap().to_dtype(DType::U32).unwrap();
    let states = |weights: &Weights| {
        let encoder = TextEncoder::new(config("text"), weights).unwrap();
        encoder.forward(&ids).unwrap()
    };
    let adapted = states(&lora.over(&weights).unwrap());
    let merged = states(&lora.merged(&weights).unwrap());
    assert!(relative_error(&adapted, &merged) < 1e-5);
    assert!(relative_error(&adapted, file.get("states").unwrap()) > 1e-2);
    let gradients = adapted.sqr().unwrap().mean_all().unwrap().backward();
    let gradients = gradients.unwrap();
    let reached = |(_, variable): (&str, &candle_core::Var)| gradients.get(variable).is_some();
    assert!(lora.parameters().iter().all(reached));
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("both.safetensors");
    let unet = adapter();
    let parts = [(Component::UNet, &unet), (Component::TextEncoder, &lora)];
    lora::save(&saved, Naming::Kohya, &parts, DType::F32).unwrap();
    let read = lora::load(&saved, Component::TextEncoder, &weights).unwrap();
    let again = states(&read.expect("an adapter").over(&weights).unwrap());
    assert_eq!(values(&again), values(&adapted));
}

#[test]
fn targets_and_tensors_that_fit_nothing_are_named() {
    let weights = unet_weights();
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let settings = LoraConfig {
        targets: vec!["to_q".to_owned(), "to_nowhere".to_owned()],
        ..LoraConfig::default()
    };
    let error = Lora::new(&settings, &weights, &mut rng).unwrap_err();
    assert!(error.to_string().contains("to_nowhere"));
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("odd.safetensors");
    let refuses = |name: &str, shape: &[usize], word: &str| {
        let mut file =
            Weights::load(path("lora_diffusers.safetensors"), DType::F32, &Device::Cpu).unwrap();
        let tensor = Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        file.insert(name, tensor);
        file.save(&place, DType::F32, &std::collections::BTreeMap::new())
            .unwrap();
        let error = lora::load(&place, Component::UNet, &weights).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    };
    let layer = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q";
    refuses("unet.nowhere.lora_A.weight", &[2, 3], "nowhere");
    refuses(&format!("{layer}.lora_A.weight"), &[2, 3], "to_q");
    refuses(&format!("{layer}.lora_magnitude_vector"), &[2], "magnitude");
    let frozen = Parameters::from_weights(&weights).unwrap();
    assert!(adapter().over(&frozen.weights()).is_ok());
}
