//! What package `demo` embeds agrees with the world that made it.

mod judging;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor};
use diffusion::pipeline::Pipeline;
use diffusion::sample::{SampleConfig, sample, start_noise};
use diffusion::weights::Weights;
use eval::encoder::Encoder;
use world::attributes::{Accessory, Background, Class, Tint};
use world::{names, publish, subject};

fn pipeline() -> Pipeline {
    let owned = |&(name, content): &(&str, &[u8])| (name.to_owned(), content.to_vec());
    let files: BTreeMap<String, Vec<u8>> = demo::model_files().iter().map(owned).collect();
    Pipeline::from_files(&files, &Device::Cpu).expect("the embedded model loads")
}

#[test]
fn constants_of_the_demo_are_those_of_the_world() {
    assert_eq!(demo::CLASSES, Class::NAMES);
    assert_eq!(demo::IDENTIFIERS, names::open());
    assert!(
        demo::TARGETS
            .iter()
            .all(|target| demo::CLASSES.contains(target))
    );
    let first = subject::PROTECTED[0];
    assert_eq!(
        (demo::SUBJECT, demo::CLASS),
        (first.id, first.identity.class.name())
    );
    assert!(demo::IDENTIFIERS.contains(&demo::IDENTIFIER) && demo::TARGETS.contains(&demo::TARGET));
    let sets: Vec<_> = demo::sample_sets().iter().map(|set| set.name).collect();
    let subjects: Vec<_> = subject::PROTECTED
        .iter()
        .chain(&subject::STRANGERS)
        .map(|subject| subject.id)
        .chain([subject::ARTIST])
        .collect();
    assert_eq!(sets, subjects);
}

#[test]
fn bundled_pictures_are_renders_of_their_subjects() {
    for (set, subject) in demo::sample_sets()
        .iter()
        .zip(subject::PROTECTED.iter().chain(&subject::STRANGERS))
    {
        for ((name, bytes), number) in set.images.iter().zip(0..) {
            let picture = image::load_from_memory(bytes)
                .expect("a PNG file")
                .to_rgb8();
            let render = publish::samples::scene(subject, number).render(256);
            let far = picture
                .as_raw()
                .iter()
                .zip(&render)
                .filter(|(a, b)| a.abs_diff(**b) > 1)
                .count();
            assert_eq!(far, 0, "{}/{name}", set.name);
        }
    }
}

#[test]
fn the_embedded_model_loads_and_every_identifier_is_one_token() {
    let pipeline = pipeline();
    assert_eq!(pipeline.image_side(), world::render::SIDE);
    for word in names::FREE.iter().chain(demo::CLASSES) {
        assert_eq!(pipeline.tokenizer.tokenize(word).len(), 1, "{word}");
    }
}

#[test]
fn identifiers_stay_apart_in_the_text_encoder() {
    let prompts: Vec<String> = demo::IDENTIFIERS
        .iter()
        .map(|word| format!("a photo of {word} dog"))
        .collect();
    let states = pipeline()
        .encode_prompts(&prompts)
        .expect("prompts are encoded")
        .context;
    // Start, "a", "photo", "of", then the identifier.
    let states = states
        .narrow(1, 4, 1)
        .and_then(|states| states.squeeze(1))
        .expect("five tokens or more");
    let rows = states.to_vec2::<f32>().expect("states are f32");
    let cosine = |a: &[f32], b: &[f32]| {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    for (i, a) in rows.iter().enumerate() {
        for (j, b) in rows.iter().enumerate().skip(i + 1) {
            let (first, second) = (demo::IDENTIFIERS[i], demo::IDENTIFIERS[j]);
            assert!(cosine(a, b) < 0.9, "{first} and {second}: {}", cosine(a, b));
        }
    }
}

#[test]
fn the_embedded_encoder_reads_bundled_pictures() {
    let encoder = Encoder::load(demo::encoder()).expect("the embedded encoder loads");
    let names: Vec<_> = encoder
        .config()
        .attributes
        .iter()
        .map(|attribute| attribute.name.as_str())
        .collect();
    assert_eq!(names, ["class", "style", "tint", "accessory", "background"]);
    let values = [
        Class::NAMES,
        world::train::batch::STYLES,
        Tint::NAMES,
        Accessory::NAMES,
        Background::NAMES,
    ];
    for (attribute, values) in encoder.config().attributes.iter().zip(values) {
        assert_eq!(attribute.values, values);
    }
    let mut wrong = 0;
    for subject in subject::PROTECTED.iter().chain(&subject::STRANGERS) {
        let scenes: Vec<_> = (0..5)
            .map(|number| publish::samples::scene(subject, number))
            .collect();
        let pixels = world::train::batch::pixels(&scenes, |_, _| {}).expect("pixels");
        for readings in encoder.attributes(&pixels).expect("readings") {
            let read: Vec<_> = readings.iter().map(|reading| reading.index).collect();
            let identity = subject.identity;
            let (class, style) = (identity.class.index(), identity.style.index());
            let expected = [
                class,
                style,
                identity.tint.index(),
                identity.accessory.index(),
            ];
            wrong += usize::from(read[..4] != expected);
        }
    }
    assert!(wrong <= 1, "{wrong} of 25 pictures were misread");
}

#[test]
fn the_embedded_model_draws_what_diffusers_draws() {
    let pipeline = pipeline();
    let bytes = include_bytes!("../fixtures/drawn.safetensors");
    let drawn = Weights::from_bytes(bytes, DType::F32, &Device::Cpu).expect("the fixture loads");
    let (noise, expected) = (drawn.get("noise").unwrap(), drawn.get("pixels").unwrap());
    let prompts = [
        "a photo of a blue dog with a hat on the beach",
        "a photo of a red fox with a crown in the snow",
    ]
    .map(str::to_owned);
    let config = SampleConfig {
        steps: 10,
        guidance_scale: 4.0,
        batch_size: 2,
        ..SampleConfig::default()
    };
    let far = |a: &Tensor, b: &Tensor| -> f32 {
        let difference = (a - b)
            .and_then(|d| d.abs()?.max_all())
            .expect("same shape");
        difference.to_scalar().expect("one value")
    };
    let starts = [7, 8].map(|seed| start_noise(&pipeline, seed, &Device::Cpu).unwrap());
    let starts = Tensor::cat(&starts, 0).unwrap();
    assert!(
        far(&starts, noise) == 0.0,
        "the fixture is of another model"
    );
    let unet = pipeline.unet().unwrap();
    let mut go_on = |_: usize, _: usize| ControlFlow::Continue(());
    let pixels = sample(&pipeline, &unet, &prompts, &[7, 8], &config, &mut go_on).unwrap();
    let difference = far(&pixels, expected);
    assert!(difference < 2e-3, "pixels differ by {difference} of 2");
}

#[test]
fn the_published_card_is_the_worlds() {
    let files = demo::model_files();
    let (_, card) = files
        .iter()
        .find(|(name, _)| *name == "persguard.json")
        .expect("the model has a card");
    assert_eq!(
        std::str::from_utf8(card).expect("the card is text"),
        world::publish::card()
    );
}
