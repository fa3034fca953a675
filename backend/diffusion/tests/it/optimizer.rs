//! The optimiser against `PyTorch`, exact resume, averages and clipping.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, backprop::GradStore};
use diffusion::{
    optimizer::{AdamW, AdamWConfig, Ema, clip_gradients},
    weights::{Parameters, Weights},
};

use crate::support::{relative_error, tensors, values};

const CONFIG: AdamWConfig = AdamWConfig {
    lr: 1e-2,
    beta1: 0.9,
    beta2: 0.99,
    epsilon: 1e-6,
    weight_decay: 0.1,
};

/// Gradients of `sum(sin(p * (step + 1)) * p)` over all parameters.
fn gradients(parameters: &Parameters, step: usize) -> GradStore {
    let mut total = Tensor::zeros((), DType::F32, &Device::Cpu).unwrap();
    for (_, p) in parameters.iter() {
        let wave = (p.as_tensor() * (step + 1) as f64).unwrap().sin().unwrap();
        total = (total + (wave * p.as_tensor()).unwrap().sum_all().unwrap()).unwrap();
    }
    total.backward().unwrap()
}

#[test]
fn twenty_steps_agree_with_pytorch() {
    let file = tensors("adamw");
    let parameters = Parameters::from_weights(&file.with_prefix("start.")).unwrap();
    let mut optimizer = AdamW::new(CONFIG);
    for step in 0..20 {
        optimizer
            .step(&parameters, &gradients(&parameters, step))
            .unwrap();
    }
    for (name, expected) in file.with_prefix("end.").iter() {
        let error = relative_error(parameters.get(name).unwrap(), expected);
        assert!(error < 1e-5, "{name} is off by {error}");
    }
}

#[test]
fn resume_through_a_file_is_exact() {
    let start = tensors("adamw").with_prefix("start.");
    let parameters = Parameters::from_weights(&start).unwrap();
    let mut optimizer = AdamW::new(CONFIG);
    for step in 0..5 {
        optimizer
            .step(&parameters, &gradients(&parameters, step))
            .unwrap();
    }
    let bytes = optimizer
        .to_weights()
        .unwrap()
        .to_bytes(DType::F32, &BTreeMap::new())
        .unwrap();
    let state = Weights::from_bytes(&bytes, DType::F32, &Device::Cpu).unwrap();
    let resumed = Parameters::from_weights(&parameters.snapshot()).unwrap();
    let mut again = AdamW::from_weights(CONFIG, &state).unwrap();
    assert_eq!(again.steps(), 5);
    for step in 5..10 {
        optimizer
            .step(&parameters, &gradients(&parameters, step))
            .unwrap();
        again.step(&resumed, &gradients(&resumed, step)).unwrap();
    }
    for (name, variable) in parameters.iter() {
        assert_eq!(
            values(variable),
            values(resumed.get(name).unwrap()),
            "{name}"
        );
    }
}

#[test]
fn snapshots_keep_their_values_and_shared_weights_follow() {
    let start = tensors("adamw").with_prefix("start.");
    let parameters = Parameters::from_weights(&start).unwrap();
    let (shared, snapshot) = (parameters.weights(), parameters.snapshot());
    let mut optimizer = AdamW::new(CONFIG);
    optimizer
        .step(&parameters, &gradients(&parameters, 0))
        .unwrap();
    for (name, variable) in parameters.iter() {
        let now = values(variable);
        assert_eq!(values(shared.get(name).unwrap()), now);
        assert_ne!(values(snapshot.get(name).unwrap()), now);
        assert_eq!(
            values(start.get(name).unwrap()),
            values(snapshot.get(name).unwrap())
        );
    }
    parameters.assign(&snapshot).unwrap();
    assert_eq!(
        values(shared.get("vector").unwrap()),
        values(start.get("vector").unwrap())
    );
    let mut other = snapshot.clone();
    other.insert("stranger", snapshot.get("vector").unwrap().clone());
    assert!(
        parameters
            .assign(&other)
            .unwrap_err()
            .to_string()
            .contains("stranger")
    );
}

#[test]
fn average_follows_the_parameters() {
    let start = tensors("adamw").with_prefix("start.");
    let parameters = Parameters::from_weights(&start).unwrap();
    let mut average = Ema::new(0.75, &parameters);
    let doubled: Weights = (start.iter())
        .map(|(name, tensor)| (name.to_owned(), (tensor * 2.0).unwrap()))
        .collect();
    parameters.assign(&doubled).unwrap();
    average.update(&parameters).unwrap();
    for (name, tensor) in average.weights().iter() {
        let expected = (start.get(name).unwrap() * 1.25).unwrap();
        assert!(relative_error(tensor, &expected) < 1e-6, "{name}");
    }
}

#[test]
fn clipping_bounds_the_joint_norm() {
    let start = tensors("adamw").with_prefix("start.");
    let parameters = Parameters::from_weights(&start).unwrap();
    let mut store = gradients(&parameters, 0);
    let norm = clip_gradients(&parameters, &mut store, 0.5).unwrap();
    assert!(norm > 0.5);
    let clipped = clip_gradients(&parameters, &mut store, 0.5).unwrap();
    assert!(
        (clipped - 0.5).abs() < 1e-5,
        "norm after clipping is {clipped}"
    );
    let untouched = values(store.get(parameters.get("vector").unwrap()).unwrap());
    clip_gradients(&parameters, &mut store, 1e9).unwrap();
    assert_eq!(
        values(store.get(parameters.get("vector").unwrap()).unwrap()),
        untouched
    );
}
