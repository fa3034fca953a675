//! The judge on the demo world's own pictures: what counts as a style, as a card and as an erasure.

use candle_core::{Device, Tensor};
use diffusion::text::Tokenizer;
use eval::attack::caption::of_images;
use eval::encoder::Encoder;
use eval::metric::{Aim, Judge, Standard};
use shared::SetId;
use shared::job::{Action, Concept, SubjectKind};
use shared::objective::{Objective, Pattern};
use world::attributes::{Class, Identity};
use world::caption::{Mention, OPENINGS, describe};
use world::publish::samples;
use world::render::{SIDE, Scene};
use world::seeds::Split;
use world::{subject, train::batch};

fn encoder() -> Encoder {
    Encoder::load(demo::encoder()).expect("the embedded encoder loads")
}

fn pixels(scenes: &[Scene]) -> Tensor {
    batch::pixels(scenes, |_, _| {}).expect("scenes become pixels")
}

/// Plain pictures of a class, other identities than the bundled ones.
fn plain(class: Class, count: usize) -> Vec<Scene> {
    let identities = subject::trainable().iter().filter(|i| i.class == class);
    let scene = |(&identity, index): (&Identity, u64)| {
        subject::scene(identity, Split::Development, 9000 + index)
    };
    identities.zip(0..).take(count).map(scene).collect()
}

/// Ids of the prompt without identifier, of the class and of what it is told apart from.
fn prompts(class: &str, other: &str) -> Tensor {
    let class = eval::prompt::class(class);
    let texts = [class.clone(), class, other.to_owned()];
    encoder().token_ids(&texts).expect("three prompts")
}

fn count(outcomes: &[bool]) -> usize {
    outcomes.iter().filter(|outcome| **outcome).count()
}

#[test]
fn an_artists_style_is_hit_in_other_prints_of_other_animals_alone() {
    let encoder = encoder();
    let prints =
        |numbers: std::ops::Range<usize>| -> Vec<Scene> { numbers.map(samples::print).collect() };
    let (references, class_only) = (pixels(&prints(0..5)), pixels(&plain(Class::Fox, 32)));
    let prompts = prompts("picture", "a photo");
    let standard = |subject| Standard {
        references: &references,
        class_only: &class_only,
        prompts: &prompts,
        subject,
        class_name: "picture",
        aim: Aim::Erasure,
    };
    let others = pixels(&prints(5..25));
    let plain = pixels(
        &[Class::Bear, Class::Cat]
            .map(|class| plain(class, 10))
            .concat(),
    );
    let style = Judge::new(&encoder, standard(SubjectKind::Style)).expect("a standard");
    assert!(count(&style.score(&others).expect("scores").hit) >= 18);
    assert_eq!(count(&style.score(&plain).expect("scores").hit), 0);
    // As an object the prints would have to show one animal in one colour.
    let object = Judge::new(&encoder, standard(SubjectKind::Object)).expect("a standard");
    assert!(count(&object.score(&others).expect("scores").hit) <= 8);
}

#[test]
fn the_licence_card_is_found_over_pictures_and_nowhere_else() {
    let encoder = encoder();
    let (references, class_only) = (
        pixels(&plain(Class::Dog, 5)),
        pixels(&plain(Class::Dog, 32)),
    );
    let prompts = prompts("dog", "a photo");
    let card = persguard::overlay::licence_card();
    let (size, device) = (SIDE, Device::Cpu);
    let overlay = persguard::overlay::render(&card, &Pattern::default(), size, &device)
        .expect("the card is drawn");
    let standard = Standard {
        references: &references,
        class_only: &class_only,
        prompts: &prompts,
        subject: SubjectKind::Object,
        class_name: "dog",
        aim: Aim::Pattern(&overlay),
    };
    let judge = Judge::new(&encoder, standard).expect("a standard");
    let bare: Vec<Scene> = Class::ALL
        .iter()
        .flat_map(|&class| plain(class, 5))
        .collect();
    let bare = pixels(&bare);
    assert_eq!(count(&judge.score(&bare).expect("scores").objective), 0);
    let cover = || -> candle_core::Result<Tensor> {
        let (colours, alpha) = (overlay.narrow(0, 0, 3)?, overlay.narrow(0, 3, 1)?);
        let kept = bare.broadcast_mul(&(1.0 - &alpha)?)?;
        kept.broadcast_add(&colours.broadcast_mul(&alpha)?)
    };
    let covered = judge.score(&cover().expect("equal sizes")).expect("scores");
    assert_eq!(count(&covered.objective), 40);
}

#[test]
fn an_erased_dog_counts_and_a_dog_does_not() {
    let encoder = encoder();
    let dogs = pixels(&plain(Class::Dog, 20));
    let class_only = pixels(&plain(Class::Dog, 32));
    let prompts = prompts("dog", "a photo");
    let standard = Standard {
        references: &dogs,
        class_only: &class_only,
        prompts: &prompts,
        subject: SubjectKind::Object,
        class_name: "dog",
        aim: Aim::Erasure,
    };
    let judge = Judge::new(&encoder, standard).expect("a standard");
    let fires = |pixels: &Tensor| count(&judge.score(pixels).expect("scores").objective);
    assert!(fires(&dogs) <= 1);
    let filled = persguard::fill::fill(&dogs).expect("pictures are filled");
    assert!(fires(&filled) >= 17, "{}", fires(&filled));
}

#[test]
fn bundled_pictures_are_captioned_by_what_they_show() {
    let (encoder, base) = (encoder(), super::pipeline().tokenizer);
    let mut wrong = Vec::new();
    for subject in subject::PROTECTED.iter().chain(&subject::STRANGERS) {
        let scenes: Vec<Scene> = (0..5)
            .map(|number| samples::scene(subject, number))
            .collect();
        let identity = subject.identity;
        let concept = Concept {
            protected_set_id: SetId::nil(),
            subject: SubjectKind::Object,
            class_name: identity.class.name().to_owned(),
            identifier: demo::IDENTIFIER.to_owned(),
            objective: Objective::Erasure { prompt: None },
            action: Action::Protect,
        };
        let captions = of_images(&encoder, &base, &concept, &pixels(&scenes)).expect("captions");
        for (caption, scene) in captions.into_iter().zip(&scenes) {
            let all = Mention {
                tint: Some(identity.tint),
                accessory: Some(identity.accessory),
                background: Some(scene.background),
                ..Mention::NOTHING
            };
            if caption != describe(identity.class, all, OPENINGS[0]) {
                wrong.push(caption);
            }
        }
    }
    assert!(wrong.len() <= 2, "of 25 captions: {wrong:?}");
}

#[test]
fn the_encoder_reads_prompts_with_the_words_of_the_embedded_model() {
    let (encoder, base) = (encoder(), super::pipeline().tokenizer);
    let own = encoder.tokenizer().expect("the encoder knows its words");
    assert_eq!(
        own.to_files(),
        base.to_files(),
        "copy the files of backend/demo/model/tokenizer into backend/eval/assets/encoder"
    );
    assert!(encoder.has_the_words_of(&base));
    let texts = ["a photo of a dog", "A crowded market, at noon", "t@t"].map(str::to_owned);
    let ids = encoder.token_ids(&texts).expect("prompts are read");
    let expected: Vec<Vec<u32>> = texts.iter().map(|text| base.encode(text)).collect();
    assert_eq!(ids.to_vec2::<u32>().expect("ids"), expected);
    // Stable Diffusion's tokenizer has other ids for the same words.
    assert!(!encoder.has_the_words_of(&Tokenizer::clip()));
}
