//! The text encoder against transformers.

use candle_core::DType;
use diffusion::{
    text::{TextConfig, TextEncoder},
    weights::{Parameters, Weights},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::support::{config, relative_error, tensors, values};

fn agrees_with_transformers(fixture: &str) {
    let file = tensors(fixture);
    let ids = file.get("ids").unwrap().to_dtype(DType::U32).unwrap();
    let parameters = Parameters::from_weights(&file.with_prefix("weight.")).unwrap();
    let encoder = TextEncoder::new(config(fixture), &parameters.weights()).unwrap();
    let states = encoder.forward(&ids).unwrap();
    let error = relative_error(&states, file.get("states").unwrap());
    assert!(error < 1e-5, "states are off by {error}");
    let pooled = encoder.pooled(&ids, &states).unwrap();
    let error = relative_error(&pooled, file.get("pooled").unwrap());
    assert!(error < 1e-5, "pooled states are off by {error}");
    let loss = (states - file.get("target").unwrap())
        .unwrap()
        .sqr()
        .unwrap()
        .mean_all()
        .unwrap();
    let gradients = loss.backward().unwrap();
    let expected = file.with_prefix("gradient.");
    assert_eq!(expected.len(), parameters.len());
    for (name, variable) in parameters.iter() {
        let gradient = gradients
            .get(variable)
            .unwrap_or_else(|| panic!("{name} has a gradient"));
        let expected = expected.get(name).unwrap();
        if name.ends_with("k_proj.bias") {
            // Softmax does not see a shift of all keys: zero but for rounding, in both.
            assert!(values(gradient).iter().all(|value| value.abs() < 1e-6));
            continue;
        }
        assert!(
            values(gradient).iter().any(|value| *value != 0.0),
            "{name} has a zero gradient"
        );
        let error = relative_error(gradient, expected);
        assert!(error < 1e-4, "gradient of {name} is off by {error}");
    }
}

#[test]
fn quick_gelu_model_agrees_with_transformers() {
    agrees_with_transformers("text");
}

#[test]
fn gelu_model_agrees_with_transformers() {
    agrees_with_transformers("text_gelu");
}

#[test]
fn names_without_prefix_are_understood() {
    let file = tensors("text");
    let bare: Weights = file.with_prefix("weight.text_model.");
    let encoder = TextEncoder::new(config("text"), &bare).unwrap();
    let ids = file.get("ids").unwrap().to_dtype(DType::U32).unwrap();
    let states = encoder.forward(&ids).unwrap();
    assert!(relative_error(&states, file.get("states").unwrap()) < 1e-5);
}

#[test]
fn legacy_end_token_is_the_highest_id() {
    let file = tensors("text");
    let mut config: TextConfig = config("text");
    config.eos_token_id = Some(2);
    let encoder = TextEncoder::new(config, &file.with_prefix("weight.")).unwrap();
    let ids = file.get("ids").unwrap().to_dtype(DType::U32).unwrap();
    let pooled = encoder.pooled(&ids, file.get("states").unwrap()).unwrap();
    assert!(relative_error(&pooled, file.get("pooled").unwrap()) < 1e-6);
}

#[test]
fn fresh_weights_have_the_names_of_transformers() {
    let config: TextConfig = config("text");
    let fresh = config
        .initialize(&mut ChaCha8Rng::seed_from_u64(0))
        .unwrap();
    let file = tensors("text").with_prefix("weight.");
    let names = |weights: &Weights| -> Vec<_> {
        weights
            .iter()
            .map(|(name, tensor)| (name.to_owned(), tensor.dims().to_vec()))
            .collect()
    };
    assert_eq!(names(&fresh), names(&file));
}

#[test]
fn ids_outside_the_vocabulary_are_refused() {
    let file = tensors("text");
    let encoder = TextEncoder::new(config("text"), &file.with_prefix("weight.")).unwrap();
    let ids = candle_core::Tensor::new(&[[1u32, 600]], &candle_core::Device::Cpu).unwrap();
    assert!(
        encoder
            .forward(&ids)
            .unwrap_err()
            .to_string()
            .contains("600")
    );
}
