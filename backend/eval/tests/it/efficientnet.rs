//! EfficientNet-Lite0 against efficientnet_lite_pytorch, on made-up weights of its real shapes.

use candle_core::{DType, Device, Tensor};
use diffusion::weights::Weights;
use eval::net::EfficientNet;

use crate::support::{bytes, floats, gap, json, values};

/// The weights that the generating script makes.
fn weights(list: &serde_json::Value) -> Vec<u8> {
    let mut weights = Weights::new();
    for (index, entry) in list.as_array().unwrap().iter().enumerate() {
        let name = entry[0].as_str().unwrap();
        if name.starts_with("_fc") || name.contains("num_batches") {
            continue;
        }
        let shape: Vec<usize> = floats(&entry[1])
            .into_iter()
            .map(|side| side as usize)
            .collect();
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
            value as f32
        };
        let seed = 1000 + u32::try_from(index).unwrap();
        let values: Vec<f32> = bytes(count, seed).into_iter().map(scaled).collect();
        weights.insert(name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap());
    }
    weights
        .to_bytes(DType::F32, &std::collections::BTreeMap::new())
        .unwrap()
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
