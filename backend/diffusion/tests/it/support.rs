//! Fixtures and comparisons that the tests share.

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use diffusion::weights::Weights;

/// A file written by `fixtures/generate.py`.
pub(crate) fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", name]
        .iter()
        .collect()
}

/// The tensors of a fixture.
pub(crate) fn tensors(name: &str) -> Weights {
    Weights::load(
        path(&format!("{name}.safetensors")),
        DType::F32,
        &Device::Cpu,
    )
    .expect("fixture loads")
}

/// A configuration of a fixture.
pub(crate) fn config<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let text = std::fs::read_to_string(path(&format!("{name}.json"))).expect("fixture exists");
    serde_json::from_str(&text).expect("fixture parses")
}

/// All values of a tensor.
pub(crate) fn values(tensor: &Tensor) -> Vec<f32> {
    tensor
        .detach()
        .flatten_all()
        .and_then(|flat| flat.to_vec1())
        .expect("f32 tensor")
}

/// Largest difference relative to the largest expected value.
pub(crate) fn relative_error(actual: &Tensor, expected: &Tensor) -> f32 {
    assert_eq!(actual.dims(), expected.dims());
    let (actual, expected) = (values(actual), values(expected));
    assert!(
        actual.iter().all(|value| value.is_finite()),
        "values are finite"
    );
    let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0.0, f32::max);
    let scale = largest(&mut expected.iter().map(|value| value.abs()));
    let difference = largest(&mut actual.iter().zip(&expected).map(|(a, b)| (a - b).abs()));
    difference / scale.max(1e-12)
}
