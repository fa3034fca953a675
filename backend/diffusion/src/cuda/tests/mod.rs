//! Every operator on the emulated device against the operator on the CPU, forward and backward.
//!
//! The same host code and the same kernels run as on a GPU; what the emulator cannot show is
//! speed, and whether the driver and cuBLAS do what their documentation says.

mod attention;
mod convolution;
mod normalization;
mod optimizer;
mod pointwise;
mod products;
mod shape;

use candle_core::{Device, Result, Tensor, Var};
use half::bf16;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{
    emulator::{Emulator, Memory},
    executor::{Kind, View},
};
use crate::noise;

const KINDS: [Kind; 2] = [Kind::F32, Kind::Bf16];

/// Largest difference relative to the largest expected value. In `bf16` the result is rounded
/// (2^-9), and so are the weights, patches and scores on the way to it.
fn tolerance(kind: Kind) -> f32 {
    match kind {
        Kind::F32 => 2e-5,
        Kind::Bf16 => 1.2e-2,
    }
}

/// Normal values that `kind` holds exactly.
fn normal(rng: &mut ChaCha8Rng, shape: &[usize], kind: Kind) -> Vec<f32> {
    let noise = noise::gaussian(rng, shape, &Device::Cpu).unwrap();
    let values: Vec<f32> = noise.flatten_all().unwrap().to_vec1().unwrap();
    match kind {
        Kind::F32 => values,
        Kind::Bf16 => values
            .into_iter()
            .map(|value| bf16::from_f32(value).to_f32())
            .collect(),
    }
}

fn compare(what: &str, kind: Kind, actual: &[f32], expected: &[f32]) {
    assert_eq!(actual.len(), expected.len(), "{what} has another length");
    let scale = expected.iter().fold(0.0f32, |scale, x| scale.max(x.abs()));
    assert!(scale > 0.0, "{what} is zero: nothing is compared");
    for (index, (a, b)) in actual.iter().zip(expected).enumerate() {
        // Written so that NaN fails too.
        let close = (a - b).abs() <= tolerance(kind) * scale;
        assert!(close, "{what} in {kind:?} at {index}: {a}, expected {b}");
    }
}

/// What an operator gives on the emulator: its result and the gradient of each input.
type Outcome = Result<(Memory, Vec<Memory>)>;

/// Compares an operator and its gradients with the CPU in both kinds.
fn agree(
    shapes: &[&[usize]],
    cpu: impl Fn(&[Tensor]) -> Result<Tensor>,
    emulated: impl Fn(&Emulator, &[View<'_, Memory>], View<'_, Memory>) -> Outcome,
) {
    let Some(device) = Emulator::start() else {
        return;
    };
    for kind in KINDS {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let inputs: Vec<Vec<f32>> = shapes
            .iter()
            .map(|shape| normal(&mut rng, shape, kind))
            .collect();
        let variables: Vec<Var> = inputs
            .iter()
            .zip(shapes)
            .map(|(values, shape)| Var::from_vec(values.clone(), *shape, &Device::Cpu).unwrap())
            .collect();
        let tensors: Vec<Tensor> = variables.iter().map(|v| v.as_tensor().clone()).collect();
        let expected = cpu(&tensors).unwrap();
        let outer = normal(&mut rng, expected.dims(), kind);
        let outer_tensor = Tensor::from_vec(outer.clone(), expected.shape(), &Device::Cpu).unwrap();
        let loss = (&expected * outer_tensor).unwrap().sum_all().unwrap();
        let gradients = loss.backward().unwrap();

        let memories: Vec<Memory> = inputs
            .iter()
            .map(|values| device.upload(kind, values).unwrap())
            .collect();
        let views: Vec<_> = memories.iter().map(|m| View::new(m, kind)).collect();
        let outer = device.upload(kind, &outer).unwrap();
        let (ys, actual) = emulated(&device, &views, View::new(&outer, kind)).unwrap();
        let values =
            |tensor: &Tensor| -> Vec<f32> { tensor.flatten_all().unwrap().to_vec1().unwrap() };
        let download = |memory: &Memory| device.download(memory).unwrap();
        compare("the result", kind, &download(&ys), &values(&expected));
        assert_eq!(actual.len(), variables.len());
        for (index, (gradient, variable)) in actual.iter().zip(&variables).enumerate() {
            let expected = values(gradients.get(variable).expect("tracked"));
            let what = format!("the gradient of input {index}");
            compare(&what, kind, &download(gradient), &expected);
        }
    }
}
