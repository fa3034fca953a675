//! Attackers who know that the model may be protected.

use diffusion::schedule::PredictionType;
use shared::attack::Adaptive;

use super::{
    super::{objective::min_snr_weights, preserve::captioned_of},
    *,
};

fn adaptive(family: Family, adaptive: Adaptive) -> Case {
    Case::new(AttackRecipe {
        adaptive,
        ..recipe(family)
    })
}

#[test]
fn clean_finetuning_precedes_the_attack_and_never_sees_its_images() {
    let steps = |clean_finetuning_steps| Adaptive {
        clean_finetuning_steps,
        ..Adaptive::default()
    };
    let mut heard = Vec::new();
    let case = adaptive(Family::DreamboothUnet, steps(3));
    let attack = Attack::new(case.setup(), &mut |phase, done, total| {
        heard.push((phase, done, total));
        Ok(())
    });
    let tuned = attack.unwrap().unet_weights().unwrap();
    assert_eq!(
        changed(&case.pipeline.unet_weights, &tuned).len(),
        tuned.len()
    );
    assert!(heard.contains(&(Preparation::CleanFinetuning, 2, 3)));
    assert!(
        heard
            .iter()
            .any(|(phase, ..)| *phase == Preparation::CaptionedImages)
    );
    let other = case
        .pipeline
        .autoencoder
        .encode(&fixture::pictures(IMAGES, 9))
        .unwrap();
    let same = start(Setup {
        instance: &other,
        ..case.setup()
    })
    .unwrap();
    assert_eq!(bytes(&same.unet_weights().unwrap()), bytes(&tuned));
    let captions = vec!["a photo of a dog".to_owned(); IMAGES];
    let given = start(Setup {
        captioned: Some(Captioned {
            latents: &other,
            captions: &captions,
        }),
        ..case.setup()
    });
    assert_ne!(
        bytes(&given.unwrap().unet_weights().unwrap()),
        bytes(&tuned)
    );
}

#[test]
fn clean_finetuning_takes_images_of_the_clean_base_whatever_model_is_attacked() {
    let case = adaptive(
        Family::DreamboothUnet,
        Adaptive {
            clean_finetuning_steps: 3,
            ..Adaptive::default()
        },
    );
    let mut protected = case.pipeline.unet_weights.clone();
    let changed = (protected.get("conv_out.weight").unwrap() * 1.5).unwrap();
    protected.insert("conv_out.weight", changed);
    let drawn = |start: &Weights| {
        let setup = Setup {
            start,
            ..case.setup()
        };
        let (latents, captions) = captioned_of(&setup, &mut |_, _, _| Ok(())).unwrap();
        let values = latents.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        (values, captions)
    };
    assert_eq!(drawn(&protected), drawn(&case.pipeline.unet_weights));
}

#[test]
fn clean_finetuning_can_be_stopped() {
    let case = adaptive(
        Family::TextualInversion,
        Adaptive {
            clean_finetuning_steps: 50,
            ..Adaptive::default()
        },
    );
    let stopped = Attack::new(case.setup(), &mut |phase, done, _| match (phase, done) {
        (Preparation::CleanFinetuning, 2) => Err(Error::Canceled { step: 0 }),
        _ => Ok(()),
    });
    assert!(matches!(stopped.err(), Some(Error::Canceled { step: 0 })));
}

#[test]
fn averages_are_drawn_and_not_trained() {
    for family in [
        Family::DreamboothUnet,
        Family::DreamboothTextEncoder,
        Family::Lora { rank: 2 },
        Family::CustomDiffusion,
    ] {
        let half = Adaptive {
            clean_average: 0.5,
            ..Adaptive::default()
        };
        let (plain, averaged) = (Case::new(recipe(family)), adaptive(family, half));
        let (mut plain, mut averaged) = (plain.attack(), averaged.attack());
        let fresh = draw(&plain);
        train(&mut plain, 5);
        train(&mut averaged, 5);
        assert_eq!(
            bytes(&plain.unet_weights().unwrap()),
            bytes(&averaged.unet_weights().unwrap())
        );
        let (full, half) = (draw(&plain), draw(&averaged));
        let distance =
            |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum() };
        assert_ne!(full, half, "{family:?}");
        assert!(
            distance(&half, &fresh) < distance(&full, &fresh),
            "{family:?}"
        );
    }
}

#[test]
fn high_noise_only_draws_the_later_half() {
    let case = adaptive(
        Family::DreamboothUnet,
        Adaptive {
            high_noise_only: true,
            ..Adaptive::default()
        },
    );
    assert_eq!(
        case.attack().trainer.settings.objective.timesteps,
        500..1000
    );
}

#[test]
fn min_snr_weights_are_those_of_the_paper() {
    let mut config = fixture::pipeline().schedule;
    let schedule = |config: &_| diffusion::schedule::NoiseSchedule::new(config).unwrap();
    let noise = schedule(&config);
    let snr = |timestep| noise.signal_to_noise(timestep).unwrap();
    let timesteps = [0, 250, 999];
    assert!(snr(0) > 5.0 && snr(999) < 5.0);
    let weights = min_snr_weights(&noise, &timesteps, 5.0).unwrap();
    assert!((weights[0] - 5.0 / snr(0)).abs() < 1e-6);
    assert!((weights[2] - 1.0).abs() < 1e-6);
    config.prediction_type = PredictionType::VPrediction;
    let weights = min_snr_weights(&schedule(&config), &timesteps, 5.0).unwrap();
    assert!((weights[0] - 5.0 / (snr(0) + 1.0)).abs() < 1e-6);
    assert!((weights[2] - snr(999) / (snr(999) + 1.0)).abs() < 1e-6);
    assert!(weights.iter().all(|weight| weight.is_finite()));
}

#[test]
fn velocities_are_attacked_too() {
    for family in FAMILIES {
        let mut case = adaptive(
            family,
            Adaptive {
                min_snr_gamma: Some(5.0),
                ..Adaptive::default()
            },
        );
        case.pipeline.schedule.prediction_type = PredictionType::VPrediction;
        let mut attack = case.attack();
        train(&mut attack, 2);
        draw(&attack);
    }
}
