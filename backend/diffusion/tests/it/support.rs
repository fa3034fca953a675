//! Fixtures and comparisons that the tests share.

use std::path::PathBuf;

use candle_core::{DType, Device};
use diffusion::weights::Weights;

/// A file written by `fixtures/generate.py`.
pub(crate) fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", name]
        .iter()
        .collect()
}

pub(crate) use crate::measure::{relative_error, values};

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
