//! `AdamW` and the moving average.

use candle_core::{Device, Tensor, Var};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{
    super::{
        executor::{Kind, View},
        optimizer::approach,
    },
    Emulator, KINDS, compare, normal,
};
use crate::{
    optimizer::{self, AdamWConfig, Update},
    weights::{Parameters, Weights},
};

#[test]
fn steps_of_adamw_agree_with_the_cpu() {
    let Some(device) = Emulator::start() else {
        return;
    };
    let (total, kind) = (700, Kind::F32);
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let start = normal(&mut rng, &[total], kind);
    let weights: Weights = [(
        "w".to_owned(),
        Tensor::new(&start[..], &Device::Cpu).unwrap(),
    )]
    .into_iter()
    .collect();
    let parameters = Parameters::from_weights(&weights).unwrap();
    let config = AdamWConfig::default();
    let mut cpu = optimizer::AdamW::new(config);
    let upload = |values: &[f32]| device.upload(kind, values).unwrap();
    let (values, first, second) = (
        upload(&start),
        upload(&vec![0.0; total]),
        upload(&vec![0.0; total]),
    );
    for step in 1..=3 {
        let gradient = normal(&mut rng, &[total], kind);
        let variable: &Var = parameters.get("w").unwrap();
        let tensor = Tensor::new(&gradient[..], &Device::Cpu).unwrap();
        let loss = (variable.as_tensor() * tensor).unwrap().sum_all().unwrap();
        cpu.step(&parameters, &loss.backward().unwrap()).unwrap();
        let gradient = upload(&gradient);
        let moments = [&first, &second].map(|memory| View::new(memory, kind));
        let (values, gradient) = (View::new(&values, kind), View::new(&gradient, kind));
        Update::new(&config, step)
            .on_cuda()
            .apply(&device, values, gradient, moments, total)
            .unwrap();
    }
    let expected: Vec<f32> = parameters.get("w").unwrap().to_vec1().unwrap();
    let moved: Vec<f32> = expected.iter().zip(&start).map(|(a, b)| a - b).collect();
    let actual = device.download(&values).unwrap();
    let actual: Vec<f32> = actual.iter().zip(&start).map(|(a, b)| a - b).collect();
    // Compared by how far values moved, which is a thousandth of the values: rounding weighs more.
    compare("the step", Kind::Bf16, &actual, &moved);
}

#[test]
fn averages_approach_parameters_of_either_kind() {
    let Some(device) = Emulator::start() else {
        return;
    };
    for kind in KINDS {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let average = normal(&mut rng, &[300], Kind::F32);
        let target = normal(&mut rng, &[300], kind);
        let expected: Vec<f32> = average
            .iter()
            .zip(&target)
            .map(|(a, t)| 0.9 * a + 0.1 * t)
            .collect();
        let (average, target) = (
            device.upload(Kind::F32, &average).unwrap(),
            device.upload(kind, &target).unwrap(),
        );
        let views = (View::new(&average, Kind::F32), View::new(&target, kind));
        approach(&device, views.0, views.1, 0.9, 300).unwrap();
        let actual = device.download(&average).unwrap();
        compare("the average", Kind::F32, &actual, &expected);
    }
}
