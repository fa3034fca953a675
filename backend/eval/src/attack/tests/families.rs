//! What each family trains, leaves alone, draws with and saves.

use diffusion::{
    lora::{self, Component, Naming},
    text::TextualInversion,
    unet::UNet,
};

use super::*;

#[test]
fn checkpoints_on_the_way_change_nothing() {
    for family in FAMILIES {
        let case = Case::new(recipe(family));
        let before = bytes(&case.pipeline.unet_weights);
        let mut straight = case.attack();
        train(&mut straight, 4);
        let mut halting = case.attack();
        for step in [0, 1, 4] {
            train(&mut halting, step);
            assert_eq!(halting.step(), step);
            draw(&halting);
        }
        assert_eq!(draw(&straight), draw(&halting), "{family:?}");
        assert_eq!(straight.step_seconds().len(), 4);
        assert_eq!(
            bytes(&case.pipeline.unet_weights),
            before,
            "start weights stay untouched"
        );
    }
}

#[test]
fn every_family_changes_its_pictures_and_nothing_but_its_own_weights() {
    for family in FAMILIES {
        let case = Case::new(recipe(family));
        let mut attack = case.attack();
        let fresh = draw(&attack);
        train(&mut attack, 4);
        assert_ne!(draw(&attack), fresh, "{family:?}");
        let start = &case.pipeline.unet_weights;
        let names = changed(start, &attack.unet_weights().unwrap());
        let text = attack.text_weights().remove(0);
        let own = |part: &str| names.iter().all(|name| name.contains(part));
        match family {
            Family::DreamboothUnet => {
                assert_eq!((names.len(), text.len()), (start.len(), 0));
            }
            Family::DreamboothTextEncoder => {
                assert_eq!(names.len(), start.len());
                let text = changed(case.pipeline.text.weights(), &text);
                assert_eq!(text.len(), case.pipeline.text.weights().len());
            }
            Family::Lora { .. } => {
                assert!(own(".attn") && !names.is_empty(), "{names:?}");
                assert_eq!(names.len() % 4, 0, "queries, keys, values and outputs");
            }
            Family::TextualInversion => assert!(names.is_empty(), "{names:?}"),
            Family::CustomDiffusion => {
                assert!(own(".attn2.to_") && own(".weight"), "{names:?}");
                assert!(
                    names
                        .iter()
                        .all(|name| name.contains("to_k") || name.contains("to_v"))
                );
                assert_eq!(names.len() % 2, 0);
            }
        }
    }
}

#[test]
fn prior_preservation_is_a_choice() {
    for family in FAMILIES
        .into_iter()
        .filter(|family| *family != Family::TextualInversion)
    {
        let with = Case::new(recipe(family));
        let without = Case::new(AttackRecipe {
            prior_preservation: false,
            ..recipe(family)
        });
        let [mut with, mut without] = [with.attack(), without.attack()];
        train(&mut with, 2);
        train(&mut without, 2);
        assert_ne!(draw(&with), draw(&without), "{family:?}");
    }
}

#[test]
fn same_seed_gives_the_same_bits_and_another_seed_others() {
    for family in FAMILIES {
        let case = Case::new(recipe(family));
        let run = |seed| {
            let mut attack = start(Setup {
                seed,
                ..case.setup()
            })
            .unwrap();
            train(&mut attack, 2);
            draw(&attack)
        };
        assert_eq!(run(4), run(4));
        assert_ne!(run(4), run(5));
    }
}

#[test]
fn merged_adapter_draws_as_the_adapted_model() {
    let case = Case::new(recipe(Family::Lora { rank: 2 }));
    let mut attack = case.attack();
    train(&mut attack, 6);
    let merged = UNet::new(
        case.pipeline.unet_config.clone(),
        &attack.unet_weights().unwrap(),
    )
    .unwrap();
    let prompts = vec![attack.words().drawing.clone(); 2];
    let tick = &mut |_, _| Ok(());
    let pixels = crate::draw::draw_each(
        &case.pipeline,
        &merged,
        (&prompts, &[1, 2]),
        &fixture::sampling(),
        tick,
    );
    let pixels: Vec<f32> = pixels.unwrap().flatten_all().unwrap().to_vec1().unwrap();
    let furthest = pixels
        .iter()
        .zip(draw(&attack))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(furthest < 1e-3, "{furthest}");
}

#[test]
fn adapters_and_embeddings_are_saved_as_others_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let case = Case::new(recipe(Family::Lora { rank: 2 }));
    let mut attack = case.attack();
    train(&mut attack, 2);
    for (naming, name) in [(Naming::Diffusers, "peft"), (Naming::Kohya, "kohya")] {
        let path = folder.path().join(name);
        attack.save_lora(&path, naming).unwrap();
        let start = &case.pipeline.unet_weights;
        let read = lora::load(&path, Component::UNet, start)
            .unwrap()
            .expect("an adapter of the U-Net");
        assert_eq!(
            bytes(&read.merged(start).unwrap()),
            bytes(&attack.unet_weights().unwrap())
        );
    }
    assert!(attack.save_embedding(folder.path().join("none")).is_err());
    let case = Case::new(recipe(Family::TextualInversion));
    let attack = case.attack();
    let path = folder.path().join("learned_embeds.safetensors");
    attack.save_embedding(&path).unwrap();
    assert_eq!(
        TextualInversion::load(&path, &Device::Cpu).unwrap().token(),
        "<olis>"
    );
    assert!(
        attack
            .save_lora(folder.path().join("none"), Naming::Kohya)
            .is_err()
    );
}

#[test]
fn fresh_placeholder_draws_as_its_initializer() {
    let case = Case::new(recipe(Family::CustomDiffusion));
    let attack = case.attack();
    let draw = |prompt: &str| {
        let pixels = attack.draw(
            &[prompt.to_owned()],
            &[3],
            &fixture::sampling(),
            &mut |_, _| Ok(()),
        );
        pixels
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap()
    };
    assert_eq!(draw("a photo of <olis> dog"), draw("a photo of olis dog"));
    assert_ne!(draw("a photo of <olis> dog"), draw("a photo of dog"));
}

#[test]
fn bank_losses_are_those_of_training() {
    let case = Case::new(recipe(Family::DreamboothUnet));
    let mut attack = case.attack();
    let schedule = case.pipeline.noise_schedule().unwrap();
    let bank = LossBank::new(&case.instance, &schedule, 1).unwrap();
    assert_eq!((bank.len(), bank.is_empty()), (32 * 4 * IMAGES, false));
    assert_eq!(
        (bank.timesteps[0], bank.timesteps[bank.len() - 1]),
        (15, 984)
    );
    let mut seen = 0;
    let first = attack.loss_bank(&bank, 100, &mut |done, _| {
        seen = done;
        Ok(())
    });
    let first = first.unwrap();
    assert_eq!((first.len(), seen), (bank.len(), 300));
    let apart = attack.loss_bank(&bank, 7, &mut |_, _| Ok(())).unwrap();
    assert!(first.iter().zip(&apart).all(|(a, b)| (a - b).abs() < 1e-4));
    train(&mut attack, 60);
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    let last = attack.loss_bank(&bank, 100, &mut |_, _| Ok(())).unwrap();
    assert!(mean(&last) < mean(&first));
    let mut wrong = bank.clone();
    wrong.images[0] = IMAGES;
    assert!(attack.loss_bank(&wrong, 7, &mut |_, _| Ok(())).is_err());
}
