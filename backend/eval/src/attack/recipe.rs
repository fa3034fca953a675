//! Recipes as TOML, and those that ship with the package. Refuses text that it does not understand whole, naming line
//! and field.

use std::ops::Range;

use shared::{
    attack::{Adaptive, AttackRecipe, Family, ImageMode, TemplateMode},
    problem::FieldError,
};
use toml::de::{DeTable, DeValue, Deserializer};

use crate::{Error, Result};

/// Longest text that is read, in bytes.
const MAX_BYTES: usize = 64 << 10;

/// The built-in recipes, in the order of the attack matrix: families first, adaptive attackers after.
const BUILT_IN: &[&str] = &[
    include_str!("../../recipes/dreambooth-unet.toml"),
    include_str!("../../recipes/dreambooth-text-encoder.toml"),
    include_str!("../../recipes/lora-r4.toml"),
    include_str!("../../recipes/lora-r16.toml"),
    include_str!("../../recipes/lora-r64.toml"),
    include_str!("../../recipes/textual-inversion.toml"),
    include_str!("../../recipes/custom-diffusion.toml"),
    include_str!("../../recipes/no-prior.toml"),
    include_str!("../../recipes/captions.toml"),
    include_str!("../../recipes/held-out-template.toml"),
    include_str!("../../recipes/half-unseen.toml"),
    include_str!("../../recipes/one-among-others.toml"),
    include_str!("../../recipes/clean-finetuning-200.toml"),
    include_str!("../../recipes/clean-finetuning-1000.toml"),
    include_str!("../../recipes/min-snr.toml"),
    include_str!("../../recipes/high-noise.toml"),
    include_str!("../../recipes/clean-average-25.toml"),
    include_str!("../../recipes/clean-average-50.toml"),
    include_str!("../../recipes/clean-average-75.toml"),
    include_str!("../../recipes/class-swapped.toml"),
    include_str!("../../recipes/class-left-out.toml"),
];

/// The recipes that ship with the package, at demo-scale learning rates.
///
/// Learning rates of Stable Diffusion times a factor, so that each family's stock rate personalizes the clean demo base
/// about as fast as it does there. Measured with `world attacks` on one subject, 12 pictures a look, shared class images:
///
/// | family | Stable Diffusion | demo | factor | hit after 50, 100, 200, 400 steps | without prior |
/// |---|---|---|---|---|---|
/// | `DreamBooth`, U-Net | 5e-6 | 1e-4 | 20 | .50 .83 .92 1.0 | .58 .75 .92 1.0 |
/// | `DreamBooth`, text encoder too | 2e-6 | 1e-4 | 50 | .92 .83 1.0 .92 | .58 .67 1.0 1.0 |
/// | LoRA, rank 4 | 1e-4 | 1e-3 | 10 | .50 .83 .92 .67 | .83 .67 .92 .75 |
/// | LoRA, rank 16 | 1e-4 | 1e-3 | 10 | .83 1.0 1.0 1.0 | |
/// | LoRA, rank 64 | 1e-4 | 1e-3 | 10 | .92 1.0 .83 1.0 | |
/// | Textual Inversion | 5e-4 | 5e-3 | 10 | | .00 1.0 .92 1.0 |
/// | Custom Diffusion | 1e-5 | 1e-3 | 100 | .83 1.0 1.0 1.0 | .67 .83 .92 .75 |
///
/// Without prior preservation the class prompt shows the subject too after 400 steps (1.0 of the pictures with
/// `DreamBooth`, .25 with LoRA and Custom Diffusion; with it .00 to .08). Textual Inversion at 1e-3 hits .00 .00 .42 1.0.
pub fn built_in() -> Vec<AttackRecipe> {
    let recipes = BUILT_IN.iter();
    recipes
        .map(|text| parse(text).expect("a test reads every built-in recipe"))
        .collect()
}

/// The built-in recipes for models of Stable Diffusion's size: the same attacks at the rates of public scripts.
///
/// | family | rates | stock | whose stock rate |
/// |---|---|---|---|
/// | `DreamBooth`, U-Net | 1e-6 2e-6 5e-6 1e-5, stress 5e-5 | 5e-6 | diffusers, `examples/dreambooth`, with prior preservation |
/// | `DreamBooth`, text encoder too | 5e-7 1e-6 2e-6 | 2e-6 | diffusers, the same with `--train_text_encoder` |
/// | LoRA, every rank | 5e-5 1e-4 3e-4 1e-3 | 1e-4 | diffusers, `train_dreambooth_lora.py` |
/// | Textual Inversion | 5e-4 1e-3 5e-3 | 5e-4 | diffusers, `examples/textual_inversion`; Gal et al.'s `v1-finetune.yaml` has 5e-3 |
/// | Custom Diffusion | 5e-6 1e-5 2e-5 | 1e-5 | diffusers, `examples/custom_diffusion` |
///
/// A recipe that has one rate at the demo's size keeps one, the stock one. Nobody measured them on real weights here.
pub fn built_in_for_stable_diffusion() -> Vec<AttackRecipe> {
    let recipes = built_in().into_iter();
    recipes
        .map(|recipe| {
            let (all, stock) = stable_diffusion_rates(recipe.family);
            AttackRecipe {
                learning_rates: match recipe.learning_rates.len() {
                    1 => vec![stock],
                    _ => all.to_vec(),
                },
                stock_learning_rate: stock,
                ..recipe
            }
        })
        .collect()
}

/// Rates that a family is swept over, rising, and the stock one among them.
const fn stable_diffusion_rates(family: Family) -> (&'static [f64], f64) {
    match family {
        Family::DreamboothUnet => (&[1e-6, 2e-6, 5e-6, 1e-5, 5e-5], 5e-6),
        Family::DreamboothTextEncoder => (&[5e-7, 1e-6, 2e-6], 2e-6),
        Family::Lora { .. } => (&[5e-5, 1e-4, 3e-4, 1e-3], 1e-4),
        Family::TextualInversion => (&[5e-4, 1e-3, 5e-3], 5e-4),
        Family::CustomDiffusion => (&[5e-6, 1e-5, 2e-5], 1e-5),
    }
}

/// `DreamBooth` on the U-Net with prior preservation, four images a step: what all else deviates from.
pub fn dreambooth_stock(learning_rate: f64, checkpoints: Vec<u32>) -> AttackRecipe {
    AttackRecipe {
        name: "dreambooth-unet".to_owned(),
        description: String::new(),
        family: Family::DreamboothUnet,
        learning_rates: vec![learning_rate],
        stock_learning_rate: learning_rate,
        checkpoints,
        batch_size: 4,
        prior_preservation: true,
        template: TemplateMode::Train,
        images: ImageMode::Seen,
        adaptive: Adaptive::default(),
    }
}

/// Reads and checks a recipe.
pub fn parse(text: &str) -> Result<AttackRecipe> {
    if text.len() > MAX_BYTES {
        let message = format!("a recipe has at most {MAX_BYTES} bytes");
        return Err(refused(text, None, "recipe", message));
    }
    let document = DeTable::parse(text)
        .map_err(|error| refused(text, error.span(), "recipe", error.message()))?;
    let table = document.get_ref();
    let deserializer = Deserializer::parse(text)
        .map_err(|error| refused(text, error.span(), "recipe", error.message()))?;
    let recipe: AttackRecipe = serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().to_string();
        // A key may be an empty text.
        let field = match path.as_str() {
            "." | "" => "recipe",
            path => path,
        };
        let inner = error.inner();
        let span = inner.span().filter(|span| span.start > 0);
        refused(
            text,
            span.or_else(|| span_of(table, &path)),
            field,
            inner.message(),
        )
    })?;
    match recipe.validate().into_iter().next() {
        None => Ok(recipe),
        Some(FieldError {
            pointer, detail, ..
        }) => {
            let path = pointer.trim_start_matches("#/").replace('/', ".");
            Err(refused(text, span_of(table, &path), &path, detail))
        }
    }
}

fn refused(
    text: &str,
    span: Option<Range<usize>>,
    field: &str,
    message: impl Into<String>,
) -> Error {
    let before = text
        .get(..span.map_or(0, |span| span.start))
        .unwrap_or_default();
    Error::Recipe {
        line: 1 + before.matches('\n').count(),
        field: field.to_owned(),
        message: message.into(),
    }
}

/// Where the value at a path of keys stands, or the nearest table around it.
fn span_of(table: &DeTable<'_>, path: &str) -> Option<Range<usize>> {
    let mut keys = path.split('.');
    let (_, mut value) = table.get_key_value(keys.next()?)?;
    for key in keys {
        let DeValue::Table(table) = value.get_ref() else {
            break;
        };
        match table.get(key) {
            Some(inner) => value = inner,
            None => break,
        }
    }
    Some(value.span())
}

#[cfg(test)]
mod tests;
