use std::{collections::BTreeSet, fs, path::Path};

use super::*;

const PLAIN: &str = r#"
name = "my-lora"
learning_rates = [1e-4, 3e-4]
stock_learning_rate = 1e-4
checkpoints = [50, 100]

[family]
kind = "lora"
rank = 8

[adaptive]
min_snr_gamma = 5
"#;

fn refusal(text: &str) -> (usize, String, String) {
    match parse(text) {
        Err(Error::Recipe {
            line,
            field,
            message,
        }) => (line, field, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn built_in_recipes_are_those_of_the_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let files: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let names: Vec<String> = built_in().into_iter().map(|recipe| recipe.name).collect();
    assert_eq!(names.iter().cloned().collect::<BTreeSet<_>>(), files);
    assert_eq!(names.len(), files.len(), "names are unique");
}

#[test]
fn built_in_recipes_cover_families_and_adaptive_attackers() {
    let recipes = built_in();
    let slugs: BTreeSet<String> = recipes.iter().map(|recipe| recipe.family.slug()).collect();
    let families = [
        "custom_diffusion",
        "dreambooth_text_encoder",
        "dreambooth_unet",
        "lora_r16",
        "lora_r4",
        "lora_r64",
        "textual_inversion",
    ];
    assert_eq!(slugs, families.map(String::from).into());
    let any = |is: fn(&Adaptive) -> bool| recipes.iter().any(|recipe| is(&recipe.adaptive));
    assert!(any(|adaptive| adaptive.clean_finetuning_steps == 1000));
    assert!(any(|adaptive| adaptive.min_snr_gamma == Some(5.0)));
    assert!(any(|adaptive| adaptive.high_noise_only));
    assert!(any(|adaptive| adaptive.clean_average > 0.7));
    assert!(recipes.iter().all(|recipe| !recipe.description.is_empty()));
    let stock = dreambooth_stock(
        recipes[0].stock_learning_rate,
        recipes[0].checkpoints.clone(),
    );
    let first = AttackRecipe {
        description: String::new(),
        learning_rates: stock.learning_rates.clone(),
        ..recipes[0].clone()
    };
    assert_eq!(first, stock);
}

#[test]
fn at_stable_diffusions_size_the_same_attacks_have_the_rates_of_public_scripts() {
    let (demo, large) = (built_in(), built_in_for_stable_diffusion());
    assert_eq!(demo.len(), large.len());
    for (demo, large) in demo.iter().zip(&large) {
        assert_eq!(large.validate(), Vec::new(), "{}", large.name);
        let stock = match large.family {
            Family::DreamboothUnet => 5e-6,
            Family::DreamboothTextEncoder => 2e-6,
            Family::Lora { .. } => 1e-4,
            Family::TextualInversion => 5e-4,
            Family::CustomDiffusion => 1e-5,
        };
        assert_eq!(large.stock_learning_rate.to_bits(), f64::to_bits(stock));
        assert_eq!(demo.learning_rates.len(), large.learning_rates.len());
        // Nothing but the rates differs.
        let same = AttackRecipe {
            learning_rates: demo.learning_rates.clone(),
            stock_learning_rate: demo.stock_learning_rate,
            ..large.clone()
        };
        assert_eq!(same, *demo);
    }
}

#[test]
fn what_is_left_out_is_stock() {
    let recipe = parse(PLAIN).unwrap();
    assert_eq!(recipe.family, Family::Lora { rank: 8 });
    assert_eq!(recipe.adaptive.min_snr_gamma, Some(5.0));
    assert_eq!((recipe.batch_size, recipe.prior_preservation), (4, true));
}

#[test]
fn errors_name_line_and_field() {
    let swapped = |from: &str, to: &str| PLAIN.replace(from, to);
    let gamma = "adaptive.min_snr_gamma";
    let twice = swapped("\nname", "\nname = \"twice\"\nname");
    let nameless = swapped("name = \"my-lora\"\n", "");
    let cases = [
        (swapped("= 8", "= 0"), 9, "family.rank", "from 1 to 256"),
        (swapped("50, 100", "100, 50"), 5, "checkpoints", "rising"),
        (swapped("= 5", "= 0"), 12, gamma, "0.1 to 100"),
        (swapped("= 5", "= \"five\""), 12, gamma, "string"),
        (
            swapped("_gamma", ""),
            12,
            "adaptive.min_snr",
            "unknown field",
        ),
        (swapped("points", "point"), 5, "checkpoint", "unknown field"),
        (
            swapped("\"lora", "\"lyra"),
            8,
            "family.kind",
            "unknown variant",
        ),
        (swapped("rank", "ranks"), 7, "family", "unknown field"),
        (swapped("[family]", "[family"), 7, "recipe", ""),
        (nameless, 1, "recipe", "missing field `name`"),
        (twice, 3, "recipe", "duplicate"),
    ];
    for (text, line, field, part) in cases {
        let (at, named, message) = refusal(&text);
        assert_eq!((at, named.as_str()), (line, field), "{message}\n{text}");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_field_without_a_name_is_the_recipes() {
    assert_eq!(refusal("\"\" = 1").1, "recipe");
}

#[test]
fn hostile_text_is_refused() {
    let long = format!("{PLAIN}# {}", "x".repeat(MAX_BYTES));
    assert!(refusal(&long).2.contains("bytes"));
    let deep = format!("name = {}", "[".repeat(20_000));
    refusal(&deep);
    refusal("\0");
    refusal(&PLAIN.replace("1e-4, 3e-4", "nan, inf"));
}
