//! EfficientNet-Lite0 against `efficientnet_lite_pytorch`, on made-up weights of its real shapes.

use candle_core::{DType, Device, Tensor};
use diffusion::weights::Weights;
use eval::net::EfficientNet;

use crate::support::{bytes, floats, gap, json, shape, values};

#[expect(clippy::cast_possible_truncation, reason = "weights of an f32 network")]
fn narrowed(value: f64) -> f32 {
    value as f32
}

/// The weights that the generating script makes.
fn weights(list: &serde_json::Value) -> Vec<u8> {
    let mut weights = Weights::new();
    for (seed, entry) in (1000..).zip(list.as_array().expect("a list")) {
        let name = entry[0].as_str().expect("a name");
        if name.starts_with("_fc") || name.contains("num_batches") {
            continue;
        }
        let shape = shape(&entry[1]);
        let count: usize = shape.iter().product();
        let fan = count / shape[0];
        let scaled = |byte: u8| {
            let value = f64::from(byte) / 255.0 - 0.5;
            let value = if shape.len() == 4 {
                value * (6.0 / fan as f64).sqrt()
            } else if name.ends_with("running_var") || name.ends_with("weight") {
                value + 1.0
            } else {
                value
            };
            narrowed(value)
        };
        let values: Vec<f32> = bytes(count, seed).into_iter().map(scaled).collect();
        weights.insert(
            name,
            Tensor::from_vec(values, shape, &Device::Cpu).expect("as many values"),
        );
    }
    weights
        .to_bytes(DType::F32, &std::collections::BTreeMap::new())
        .expect("tensors of f32")
}

#[test]
fn features_agree_with_pytorch() {
    let reference = json("efficientnet.json");
    let net = EfficientNet::load(&weights(&reference["tensors"])).unwrap();
    for (index, seed) in [7, 8].into_iter().enumerate() {
        let input: Vec<f32> = bytes(3 * 224 * 224, seed)
            .into_iter()
            .map(|byte| f32::from(byte) / 128.0 - 1.0)
            .collect();
        let input = Tensor::from_vec(input, (1, 3, 224, 224), &Device::Cpu).unwrap();
        let found: Vec<f32> = values(&net.forward(&input).unwrap())
            .into_iter()
            .step_by(16)
            .collect();
        let gap = gap(&found, &floats(&reference["features"][index]));
        assert!(gap < 1e-4, "picture {index}: {gap}");
    }
}
