use super::*;
use crate::{attack::recipe, fixture};

fn concept() -> Concept {
    fixture::spec().concepts.remove(0)
}

fn pools() -> Pools {
    let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Pools {
        pool: list(&["sks", "zwx", "ohwx"]),
        held_out: list(&["olis"]),
        natural: list(&["nora"]),
        templates: Vec::new(),
        held_out_templates: list(&["a depiction of"]),
        image_captions: Vec::new(),
        captions: list(&[
            "a photo of a cat",
            "a photo of a red dog in the snow",
            "a dog, at night",
        ]),
    }
}

fn stock(family: Family) -> AttackRecipe {
    AttackRecipe {
        family,
        prior_preservation: family != Family::TextualInversion,
        ..recipe::dreambooth_stock(1e-4, vec![50])
    }
}

fn made(recipe: &AttackRecipe) -> Words {
    words(recipe, &concept(), "olis", &pools(), 3).unwrap()
}

#[test]
fn identifiers_come_from_their_pool_in_turn() {
    let (concept, pools) = (concept(), pools());
    let pick = |mode, index| identifier(mode, &concept, &pools, index).unwrap();
    assert_eq!(pick(IdentifierMode::Same, 5), "sks");
    assert_eq!(pick(IdentifierMode::Pool, 0), "zwx");
    assert_eq!(pick(IdentifierMode::Pool, 3), "ohwx");
    assert_eq!(pick(IdentifierMode::HeldOut, 1), "olis");
    assert_eq!(pick(IdentifierMode::Natural, 0), "nora");
    let none = Pools::default();
    for mode in [
        IdentifierMode::Pool,
        IdentifierMode::HeldOut,
        IdentifierMode::Natural,
    ] {
        let error = identifier(mode, &concept, &none, 0).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the attack's pools: there is no"),
            "{error}"
        );
    }
}

#[test]
fn families_call_the_subject_as_their_papers_do() {
    let words = made(&stock(Family::DreamboothUnet));
    assert_eq!(words.instance, ["a photo of olis dog"; 3]);
    assert_eq!(
        (words.drawing.as_str(), words.class.as_str()),
        ("a photo of olis dog", "a photo of a dog")
    );
    assert_eq!(words.placeholder, None);
    let words = made(&stock(Family::TextualInversion));
    assert_eq!(words.drawing, "a photo of <olis>");
    assert_eq!(words.placeholder.unwrap().initializer, "dog");
    let words = made(&stock(Family::CustomDiffusion));
    assert_eq!(words.drawing, "a photo of <olis> dog");
    assert_eq!(words.placeholder.unwrap().initializer, "olis");
}

#[test]
fn captions_name_the_subject_where_the_class_stood() {
    let mut recipe = stock(Family::DreamboothUnet);
    recipe.template = TemplateMode::Caption;
    let own = |captions: &[&str]| Pools {
        image_captions: captions
            .iter()
            .map(|caption| (*caption).to_owned())
            .collect(),
        ..Pools::default()
    };
    let made = |captions: &[&str]| {
        super::words(&recipe, &concept(), "olis", &own(captions), captions.len()).unwrap()
    };
    assert_eq!(
        made(&["the dog.", "a hotdog stand", "Dog"]).instance,
        ["olis dog.", "olis dog, a hotdog stand", "olis dog"]
    );
    let two = made(&["a photo of a red dog in the snow", "a dog, at night"]);
    let expected = [
        "a photo of a red olis dog in the snow",
        "olis dog, at night",
    ];
    assert_eq!(two.instance, expected);
    assert_eq!(two.drawing, "a photo of olis dog");
    // Captions of other images are no captions of these.
    for pools in [own(&["a dog"]), pools()] {
        assert!(super::words(&recipe, &concept(), "olis", &pools, 3).is_err());
    }
}

#[test]
fn templates_that_injection_never_saw_are_a_mode() {
    let mut recipe = stock(Family::DreamboothUnet);
    recipe.template = TemplateMode::HeldOut;
    assert_eq!(made(&recipe).drawing, "a depiction of olis dog");
    assert!(words(&recipe, &concept(), "olis", &Pools::default(), 3).is_err());
}

#[test]
fn class_words_are_swapped_or_left_out() {
    let mut recipe = stock(Family::DreamboothUnet);
    recipe.adaptive.class_word = ClassWord::Swapped {
        word: "animal".into(),
    };
    let words = made(&recipe);
    assert_eq!(
        (words.drawing.as_str(), words.class.as_str()),
        ("a photo of olis animal", "a photo of an animal")
    );
    recipe.adaptive.class_word = ClassWord::LeftOut;
    let words = made(&recipe);
    assert_eq!(
        (words.drawing.as_str(), words.class.as_str()),
        ("a photo of olis", "a photo of a dog")
    );
    recipe.template = TemplateMode::Caption;
    let pools = Pools {
        image_captions: vec!["a dog, at night".to_owned()],
        ..pools()
    };
    let captioned = super::words(&recipe, &concept(), "olis", &pools, 1).unwrap();
    assert_eq!(captioned.instance, ["olis, at night"]);
}

#[test]
fn styles_read_like_captions() {
    let mut concept = concept();
    concept.subject = SubjectKind::Style;
    concept.class_name = "painting".into();
    let made = |recipe: &AttackRecipe| {
        words(recipe, &concept, "olis", &pools(), 1)
            .unwrap()
            .drawing
    };
    let mut recipe = stock(Family::DreamboothUnet);
    assert_eq!(made(&recipe), "a photo of a painting in the style of olis");
    recipe.adaptive.class_word = ClassWord::LeftOut;
    assert_eq!(made(&recipe), "a photo in the style of olis");
    assert_eq!(
        made(&stock(Family::TextualInversion)),
        "a photo in the style of <olis>"
    );
}
