//! Fixtures, made-up bytes and comparisons. Refuses files outside the fixtures.

use std::{fs, path::PathBuf};

use candle_core::{DType, Device, Tensor};
use diffusion::weights::Weights;

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fs::read(folder.join(name)).expect("a fixture")
}

pub(crate) fn json(name: &str) -> serde_json::Value {
    serde_json::from_slice(&fixture(name)).expect("a JSON fixture")
}

pub(crate) fn tensors(name: &str) -> Weights {
    Weights::from_bytes(&fixture(name), DType::F32, &Device::Cpu).expect("a fixture of tensors")
}

/// Bytes that the generating scripts make too: the top byte of `x -> 1664525 x + 1013904223`.
pub(crate) fn bytes(count: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..count).map(|_| next()).collect()
}

pub(crate) fn values(tensor: &Tensor) -> Vec<f32> {
    tensor
        .flatten_all()
        .expect("any shape")
        .to_vec1()
        .expect("f32 values")
}

/// The largest difference, relative to the largest expected value and at least to 1.
pub(crate) fn gap(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let scale = expected
        .iter()
        .fold(1.0_f32, |most, value| most.max(value.abs()));
    let gaps = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    gaps.fold(0.0, f32::max) / scale
}

#[expect(clippy::cast_possible_truncation, reason = "numbers that were f32")]
pub(crate) fn floats(value: &serde_json::Value) -> Vec<f32> {
    let list = value.as_array().expect("a list");
    list.iter()
        .map(|v| v.as_f64().expect("a number") as f32)
        .collect()
}
