use candle_core::{DType, Device};

use super::*;
use crate::fixture;

fn recipe() -> Recipe {
    Recipe {
        prompt: "a photo of sks dog".into(),
        class_prompt: "a photo of a dog".into(),
        learning_rate: 2e-3,
        batch_size: 2,
        prior_weight: 1.0,
        class_images: 3,
        sampling: fixture::sampling(),
        seed: 4,
    }
}

fn start(weights: &Weights) -> Attack {
    let pipeline = fixture::pipeline();
    let instance = pipeline
        .autoencoder
        .encode(&fixture::pictures(2, 8))
        .unwrap();
    Attack::new(&pipeline, weights, &instance, recipe(), &mut |_, _| Ok(())).unwrap()
}

fn bytes(weights: &Weights) -> Vec<u8> {
    weights
        .to_bytes(DType::F32, &std::collections::BTreeMap::new())
        .unwrap()
}

#[test]
fn loss_is_equation_4() {
    let tensor = |values: [f32; 4]| Tensor::new(&values, &Device::Cpu).unwrap().reshape((4, 1));
    let prediction = tensor([1.0, 2.0, 3.0, 5.0]).unwrap();
    let expected = tensor([0.0, 0.0, 1.0, 1.0]).unwrap();
    let loss = equation_4(&prediction, &expected, 0.5).unwrap();
    // (1 + 4) / 2 + 0.5 (4 + 16) / 2
    assert!((loss.to_scalar::<f32>().unwrap() - 7.5).abs() < 1e-6);
}

#[test]
fn checkpoints_on_the_way_change_nothing() {
    let base = fixture::pipeline().unet_weights;
    let before = bytes(&base);
    let mut straight = start(&base);
    straight.advance_to(6, &mut |_| Ok(())).unwrap();
    let mut halting = start(&base);
    for step in [0, 2, 6] {
        halting.advance_to(step, &mut |_| Ok(())).unwrap();
        assert_eq!(halting.step(), step);
        fixture::draw_one(halting.student());
    }
    assert_eq!(bytes(&straight.weights()), bytes(&halting.weights()));
    assert_ne!(bytes(&straight.weights()), before);
    assert_eq!(bytes(&base), before, "start weights stay untouched");
}

#[test]
fn attack_learns_the_references() {
    let mut attack = start(&fixture::pipeline().unet_weights);
    let losses: Vec<f32> = (0..80).map(|_| attack.train_step().unwrap()).collect();
    let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
    assert!(
        mean(&losses[70..]) < 0.9 * mean(&losses[..10]),
        "{losses:?}"
    );
    assert_eq!(attack.step(), 80);
}

#[test]
fn cancel_stops_between_steps() {
    let mut attack = start(&fixture::pipeline().unet_weights);
    let mut tick = |step| {
        if step == 2 {
            Err(Error::Canceled { step })
        } else {
            Ok(())
        }
    };
    let stopped = attack.advance_to(5, &mut tick);
    assert!(
        matches!(stopped, Err(Error::Canceled { step: 2 })),
        "{stopped:?}"
    );
    assert_eq!(attack.step(), 2);
}

#[test]
fn divergence_is_named() {
    let mut base = fixture::pipeline().unet_weights;
    let broken = (base.get("conv_out.weight").unwrap() * f64::INFINITY).unwrap();
    base.insert("conv_out.weight", broken);
    let pipeline = fixture::pipeline();
    let instance = pipeline
        .autoencoder
        .encode(&fixture::pictures(2, 8))
        .unwrap();
    let mut attack =
        Attack::new(&pipeline, &base, &instance, recipe(), &mut |_, _| Ok(())).unwrap();
    let ended = attack.advance_to(3, &mut |_| Ok(()));
    assert!(
        matches!(ended, Err(Error::Diverged { step: 1, .. })),
        "{ended:?}"
    );
}
