//! The stock attack against the plain loop that every earlier number of the project was measured with.

use diffusion::{
    noise,
    optimizer::{AdamW, AdamWConfig},
    unet::UNet,
    weights::Parameters,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    super::{
        objective::{Objective, min_snr_weights},
        trainer::Settings,
    },
    *,
};

fn stream(stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    rng.set_stream(stream);
    rng
}

fn pick(latents: &Tensor, rng: &mut ChaCha8Rng) -> Tensor {
    let count = u32::try_from(latents.dim(0).unwrap()).unwrap();
    let rows = [0, 1].map(|_| rng.random_range(0..count));
    latents
        .index_select(&Tensor::new(&rows, &Device::Cpu).unwrap(), 0)
        .unwrap()
}

/// `DreamBooth` with prior preservation in one loop over one batch of embedded prompts, without clipping.
fn plain_loop(case: &Case, steps: usize) -> Weights {
    let pipeline = &case.pipeline;
    let parameters = Parameters::from_weights(&pipeline.unet_weights).unwrap();
    let student = UNet::new(pipeline.unet_config.clone(), &parameters.weights()).unwrap();
    let mut rng = stream(11);
    let seeds: Vec<u64> = (0..3).map(|_| rng.random()).collect();
    let config = fixture::sampling();
    let class = crate::draw::draw(
        pipeline,
        &student,
        "a photo of a dog",
        &seeds,
        &config,
        &mut |_, _| Ok(()),
    );
    let class = pipeline
        .autoencoder
        .encode(&class.unwrap())
        .unwrap()
        .detach();
    let prompts = [
        "a photo of olis dog",
        "a photo of olis dog",
        "a photo of a dog",
        "a photo of a dog",
    ];
    let conditions = pipeline
        .encode_prompts(&prompts.map(String::from))
        .unwrap()
        .detach();
    let schedule = pipeline.noise_schedule().unwrap();
    let mut optimizer = AdamW::new(AdamWConfig {
        lr: 2e-3,
        ..AdamWConfig::default()
    });
    let mut rng = stream(12);
    for _ in 0..steps {
        let clean = [pick(&case.instance, &mut rng), pick(&class, &mut rng)];
        let clean = Tensor::cat(&clean, 0).unwrap();
        let timesteps: Vec<usize> = (0..4).map(|_| rng.random_range(0..1000)).collect();
        let noise = noise::gaussian(&mut rng, clean.shape(), &Device::Cpu).unwrap();
        let noisy = schedule.add_noise(&clean, &noise, &timesteps).unwrap();
        let times: Vec<f32> = timesteps.iter().map(|timestep| *timestep as f32).collect();
        let times = Tensor::new(times, &Device::Cpu).unwrap();
        let prediction = student.forward(&noisy, &times, &conditions).unwrap();
        let errors = (prediction - noise).unwrap().sqr().unwrap();
        let half = |first| errors.narrow(0, first, 2).unwrap().mean_all().unwrap();
        let loss = (half(0) + half(2)).unwrap();
        optimizer
            .step(&parameters, &loss.backward().unwrap())
            .unwrap();
    }
    parameters.snapshot()
}

#[test]
fn stock_attack_has_the_bits_of_the_plain_loop() {
    let case = Case::new(recipe(Family::DreamboothUnet));
    let mut attack = case.attack().unclipped();
    train(&mut attack, 5);
    assert!(bytes(&attack.unet_weights().unwrap()) == bytes(&plain_loop(&case, 5)));
    // Clipping changes nothing where gradients are small.
    let mut clipped = case.attack();
    assert_eq!(clipped.trainer.settings.max_gradient_norm, Some(1.0));
    clipped.trainer.settings.max_gradient_norm = Some(1e6);
    train(&mut clipped, 5);
    assert!(bytes(&attack.unet_weights().unwrap()) == bytes(&clipped.unet_weights().unwrap()));
}

#[test]
fn shared_class_images_give_the_same_attack() {
    let case = Case::new(recipe(Family::DreamboothUnet));
    let class = ("a photo of a dog", 3);
    let weights = &case.pipeline.unet_weights;
    let shared = class_latents(
        &case.pipeline,
        weights,
        class,
        4,
        &fixture::sampling(),
        &mut |_, _| Ok(()),
    );
    let shared = shared.unwrap();
    let mut own = case.attack();
    let mut other = start(Setup {
        class_latents: Some(&shared),
        ..case.setup()
    })
    .unwrap();
    train(&mut own, 3);
    train(&mut other, 3);
    assert!(bytes(&own.unet_weights().unwrap()) == bytes(&other.unet_weights().unwrap()));
}

#[test]
fn attack_learns_the_references() {
    let case = Case::new(recipe(Family::DreamboothUnet));
    let mut attack = case.attack();
    let losses: Vec<f32> = (0..80)
        .map(|_| attack.trainer.train_step().unwrap())
        .collect();
    let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
    assert!(
        mean(&losses[70..]) < 0.9 * mean(&losses[..10]),
        "{losses:?}"
    );
    assert_eq!(attack.step(), 80);
}

#[test]
fn cancel_stops_between_steps() {
    let mut attack = Case::new(recipe(Family::DreamboothUnet)).attack();
    let stopped = attack.advance_to(5, &mut |step| {
        if step == 2 {
            Err(Error::Canceled { step })
        } else {
            Ok(())
        }
    });
    assert!(
        matches!(stopped, Err(Error::Canceled { step: 2 })),
        "{stopped:?}"
    );
    assert_eq!(attack.step(), 2);
}

#[test]
fn divergence_is_named() {
    let case = Case::new(recipe(Family::DreamboothUnet));
    let mut start = case.pipeline.unet_weights.clone();
    let broken = (start.get("conv_out.weight").unwrap() * f64::INFINITY).unwrap();
    start.insert("conv_out.weight", broken);
    let mut attack = super::start(Setup {
        start: &start,
        ..case.setup()
    })
    .unwrap();
    let prompts = [attack.words().drawing.clone()];
    let drawn = attack.draw(&prompts, &[1], &fixture::sampling(), &mut |_, _| Ok(()));
    assert!(
        matches!(drawn, Err(Error::Diverged { step: 0, .. })),
        "{drawn:?}"
    );
    let ended = attack.advance_to(3, &mut |_| Ok(()));
    assert!(
        matches!(ended, Err(Error::Diverged { step: 1, .. })),
        "{ended:?}"
    );
}

#[test]
fn loss_is_equation_4() {
    let tensor = |values: [f32; 4]| {
        Tensor::new(&values, &Device::Cpu)
            .unwrap()
            .reshape((4, 1))
            .unwrap()
    };
    let (prediction, target) = (tensor([1.0, 2.0, 3.0, 5.0]), tensor([0.0, 0.0, 1.0, 1.0]));
    let schedule = fixture::pipeline().noise_schedule().unwrap();
    let mut objective = Objective::plain(&schedule);
    objective.prior_weight = 0.5;
    let loss = |objective: &Objective, instances: &[usize]| {
        let loss = objective
            .loss(&prediction, &target, &schedule, instances)
            .unwrap();
        loss.to_scalar::<f32>().unwrap()
    };
    // (1 + 4) / 2 + 0.5 (4 + 16) / 2
    assert!((loss(&objective, &[0, 500]) - 7.5).abs() < 1e-6);
    assert!((loss(&objective, &[0, 1, 2, 3]) - 25.0 / 4.0).abs() < 1e-6);
    objective.instance_weight = 12.0;
    assert!((loss(&objective, &[0, 500]) - (12.0 * 2.5 + 5.0)).abs() < 1e-4);
    objective.min_snr_gamma = Some(5.0);
    let weights = min_snr_weights(&schedule, &[0, 500], 5.0).unwrap();
    let expected = 12.0 * (weights[0] + 4.0 * weights[1]) / 2.0 + 5.0;
    assert!((loss(&objective, &[0, 500]) - expected).abs() < 1e-4);
}

#[test]
fn settings_follow_the_family() {
    let settings = |family| {
        let Settings {
            max_gradient_norm,
            objective,
            ..
        } = Case::new(recipe(family)).attack().trainer.settings;
        (max_gradient_norm, objective.instance_weight)
    };
    assert_eq!(settings(Family::TextualInversion), (None, 1.0));
    assert_eq!(settings(Family::CustomDiffusion), (Some(1.0), 12.0));
    assert_eq!(settings(Family::Lora { rank: 2 }), (Some(1.0), 1.0));
}
