//! Inputs that cannot be trained on.

use shared::attack::Adaptive;

use super::*;

fn refusal(result: Result<Attack>) -> String {
    result.err().expect("a refusal").to_string()
}

#[test]
fn latents_that_are_not_numbers_or_do_not_fit_are_refused() {
    let case = Case::new(recipe(Family::DreamboothUnet));
    let nan = (&case.instance * f64::NAN).unwrap();
    let infinite = (&case.instance / 0.0).unwrap();
    let narrow = case.instance.narrow(3, 0, 3).unwrap();
    let flat = case.instance.flatten_all().unwrap();
    let none = Tensor::zeros((0, 12, 16, 16), DType::F32, &Device::Cpu).unwrap();
    for (wrong, part) in [
        (&nan, "not numbers"),
        (&infinite, "not numbers"),
        (&narrow, "shape"),
        (&flat, "shape"),
        (&none, "shape"),
    ] {
        let message = refusal(start(Setup {
            instance: wrong,
            ..case.setup()
        }));
        assert!(
            message.starts_with("the attack's instance images: ") && message.contains(part),
            "{message}"
        );
        let message = refusal(start(Setup {
            class_latents: Some(wrong),
            ..case.setup()
        }));
        assert!(
            message.starts_with("the attack's class images: ") && message.contains(part),
            "{message}"
        );
        let captioned = Some(Captioned {
            latents: wrong,
            captions: &[],
        });
        let message = refusal(start(Setup {
            captioned,
            ..case.setup()
        }));
        assert!(
            message.starts_with("the attack's captioned images: ") && message.contains(part),
            "{message}"
        );
    }
    let captioned = Some(Captioned {
        latents: &case.instance,
        captions: &[],
    });
    assert!(
        refusal(start(Setup {
            captioned,
            ..case.setup()
        }))
        .contains("0 captions")
    );
}

#[test]
fn words_that_do_not_fit_are_refused() {
    let case = Case::new(recipe(Family::DreamboothUnet));
    let inverted = Case::new(recipe(Family::TextualInversion));
    let with = |case: &Case, change: fn(&mut Words)| {
        let mut words = case.words.clone();
        change(&mut words);
        refusal(start(Setup {
            words: &words,
            ..case.setup()
        }))
    };
    for change in [
        (|words: &mut Words| words.instance[1] = "  ".into()) as fn(&mut Words),
        |words| words.class = String::new(),
        |words| words.drawing = String::new(),
        |words| words.class_captions = vec![String::new()],
    ] {
        assert_eq!(with(&case, change), "the attack's words: a prompt is empty");
    }
    let message = with(&case, |words| words.instance.truncate(1));
    assert_eq!(
        message,
        "the attack's words: 1 instance prompts for 3 images"
    );
    let message = with(&inverted, |words| words.placeholder = None);
    assert!(message.contains("there is none"), "{message}");
    let message = with(&inverted, |words| words.instance[0] = "a photo".into());
    assert!(
        message.contains("lacks the placeholder <olis>"),
        "{message}"
    );
    let message = with(&inverted, |words| {
        let placeholder = words.placeholder.as_mut().unwrap();
        placeholder.initializer = String::new();
    });
    assert!(message.contains("no token"), "{message}");
    let placeholder = inverted.words.placeholder.clone();
    let words = Words {
        placeholder,
        ..case.words.clone()
    };
    assert!(
        refusal(start(Setup {
            words: &words,
            ..case.setup()
        }))
        .contains("only Textual Inversion")
    );
}

#[test]
fn recipes_and_rates_that_cannot_run_are_refused() {
    let mut case = Case::new(recipe(Family::DreamboothUnet));
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let message = refusal(start(Setup {
            learning_rate: rate,
            ..case.setup()
        }));
        assert!(
            message.starts_with("the attack's learning rate: "),
            "{message}"
        );
    }
    assert!(
        refusal(start(Setup {
            class_images: 0,
            ..case.setup()
        }))
        .contains("class images")
    );
    case.recipe.batch_size = 0;
    assert!(refusal(start(case.setup())).starts_with("#/batch_size"));
    let inverted = |change: fn(&mut AttackRecipe)| {
        let mut case = Case::new(recipe(Family::TextualInversion));
        change(&mut case.recipe);
        refusal(start(case.setup()))
    };
    let message = inverted(|recipe| recipe.prior_preservation = true);
    assert!(message.starts_with("#/prior_preservation"), "{message}");
    let message = inverted(|recipe| recipe.adaptive.clean_average = 0.5);
    assert!(message.starts_with("#/adaptive/clean_average"), "{message}");
    let finetuning = Case::new(AttackRecipe {
        prior_preservation: false,
        adaptive: Adaptive {
            clean_finetuning_steps: 1,
            ..Adaptive::default()
        },
        ..recipe(Family::DreamboothUnet)
    });
    assert!(
        refusal(start(Setup {
            class_images: 0,
            ..finetuning.setup()
        }))
        .contains("captioned images")
    );
}

#[test]
fn ranks_above_a_layer_are_refused() {
    let wide = Case::new(recipe(Family::Lora { rank: 9 }));
    let message = refusal(wide.attack_result());
    assert!(
        message.starts_with("the attack's rank: 9 is more than the 8 channels of "),
        "{message}"
    );
    Case::new(recipe(Family::Lora { rank: 8 })).attack();
}

impl Case {
    fn attack_result(&self) -> Result<Attack> {
        start(self.setup())
    }
}

#[test]
fn start_weights_of_another_model_are_refused() {
    let case = Case::new(recipe(Family::CustomDiffusion));
    let mut weights = Weights::new();
    assert!(
        start(Setup {
            start: &weights,
            ..case.setup()
        })
        .is_err()
    );
    weights.insert("x.attn2.to_k.weight", case.instance.clone());
    assert!(
        start(Setup {
            start: &weights,
            ..case.setup()
        })
        .is_err()
    );
}
