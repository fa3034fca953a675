//! Attacks as data: what somebody does who personalizes a model (EVALUATION, attack matrix).
//!
//! Owns the names, defaults and rules of recipes, which people write as TOML. Refuses to know how an attack is run
//! (package `eval` does) and which words stand for an identifier (the model's pools do).

use serde::{Deserialize, Serialize};

use crate::problem::{FieldError, check};

/// Most steps of an attack.
const MAX_STEPS: u32 = 5000;

/// What is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Family {
    /// All weights of the U-Net (Ruiz et al., arXiv 2208.12242).
    #[default]
    DreamboothUnet,
    /// All weights of the U-Net and of the text encoder.
    DreamboothTextEncoder,
    /// Low-rank corrections of the U-Net's attention (Hu et al., arXiv 2106.09685).
    Lora {
        /// Channels between the two matrices; alpha is the same, so the correction is not scaled.
        rank: u32,
    },
    /// One token's embedding (Gal et al., arXiv 2208.01618).
    TextualInversion,
    /// Keys and values of cross-attention, and the identifier's embedding (Kumari et al., arXiv 2212.04488).
    CustomDiffusion,
}

impl Family {
    /// The name in reports and file names: `dreambooth_unet`, `lora_r16`.
    pub fn slug(self) -> String {
        match self {
            Self::DreamboothUnet => "dreambooth_unet".to_owned(),
            Self::DreamboothTextEncoder => "dreambooth_text_encoder".to_owned(),
            Self::Lora { rank } => format!("lora_r{rank}"),
            Self::TextualInversion => "textual_inversion".to_owned(),
            Self::CustomDiffusion => "custom_diffusion".to_owned(),
        }
    }

    /// The name for people: "LoRA (rank 16)".
    pub fn title(self) -> String {
        match self {
            Self::DreamboothUnet => "DreamBooth (U-Net)".to_owned(),
            Self::DreamboothTextEncoder => "DreamBooth (U-Net and text encoder)".to_owned(),
            Self::Lora { rank } => format!("LoRA (rank {rank})"),
            Self::TextualInversion => "Textual Inversion".to_owned(),
            Self::CustomDiffusion => "Custom Diffusion".to_owned(),
        }
    }
}

/// Which word the attacker takes as identifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum IdentifierMode {
    /// The concept's own.
    Same,
    /// Another one that injection trained.
    Pool,
    /// One that injection never saw.
    #[default]
    HeldOut,
    /// A natural name.
    Natural,
}

/// What the attacker writes around identifier and class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TemplateMode {
    /// A template that injection trained; the stock one is "a photo of".
    #[default]
    Train,
    /// A template that injection never saw.
    HeldOut,
    /// A caption for every image that tells its surroundings too.
    Caption,
}

/// Which images the attacker has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ImageMode {
    /// The protected ones.
    #[default]
    Seen,
    /// Half of them are of the same subject and were never protected.
    HalfUnseen,
    /// One protected image among others of the same class.
    OneAmongOthers,
}

/// What the attacker does with the class word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClassWord {
    /// Writes it.
    #[default]
    Kept,
    /// Writes another word.
    Swapped {
        /// For example "animal".
        word: String,
    },
    /// Leaves it out.
    LeftOut,
}

/// What an attacker does who knows that the model may be protected (EVALUATION, adaptive attackers).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Adaptive {
    /// Steps of ordinary training on class images and captions before the attack.
    pub clean_finetuning_steps: u32,
    /// Weighs the loss by `min(snr, gamma) / snr` (Hang et al., arXiv 2303.09556); the usual gamma is 5.
    pub min_snr_gamma: Option<f64>,
    /// Trains only at the noisy half of the timesteps, where layout is decided.
    pub high_noise_only: bool,
    /// Share of the clean base's weights in what is drawn from, in `[0, 1)`.
    pub clean_average: f64,
    /// What is done with the class word.
    pub class_word: ClassWord,
}

/// One attack, fully said but for subject, identifier word, rate and seed: what a TOML recipe holds.
///
/// The matrix runs it at every learning rate, with every identifier mode and every seed of a tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AttackRecipe {
    /// Lower case, digits and dashes: `lora-stock`.
    pub name: String,
    /// What it is, for people, in a sentence.
    #[serde(default)]
    pub description: String,
    /// What is trained.
    pub family: Family,
    /// Learning rates of `AdamW`, rising; a smaller tier takes the stock one alone.
    pub learning_rates: Vec<f64>,
    /// The rate that public scripts propose, scaled to the model; one of `learning_rates`.
    pub stock_learning_rate: f64,
    /// Steps at which pictures are drawn, rising.
    pub checkpoints: Vec<u32>,
    /// Images of the subject a step, and as many of the class with prior preservation.
    #[serde(default = "default_batch_size")]
    pub batch_size: u32,
    /// Whether class images are trained on beside the subject's; Textual Inversion cannot.
    #[serde(default = "default_true")]
    pub prior_preservation: bool,
    /// What is written around identifier and class.
    #[serde(default)]
    pub template: TemplateMode,
    /// Which images the attacker has.
    #[serde(default)]
    pub images: ImageMode,
    /// What an attacker does who expects protection.
    #[serde(default)]
    pub adaptive: Adaptive,
}

fn default_batch_size() -> u32 {
    4
}

fn default_true() -> bool {
    true
}

impl AttackRecipe {
    /// Every reason why it cannot run, whatever the model. Pointers start at `#`.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let slug = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let named = (1..=40).contains(&self.name.len()) && self.name.chars().all(slug);
        check(&mut errors, named, "#/name", "invalid", || {
            "Use 1 to 40 lower-case letters, digits and dashes.".into()
        });
        self.validate_training(&mut errors);
        self.validate_adaptive(&mut errors);
        self.validate_inversion(&mut errors);
        errors
    }

    fn validate_training(&self, errors: &mut Vec<FieldError>) {
        let rates = &self.learning_rates;
        let usable = rates.iter().all(|rate| (1e-8..=1.0).contains(rate));
        let rising = rates.windows(2).all(|pair| pair[0] < pair[1]);
        let count = (1..=8).contains(&rates.len());
        check(
            errors,
            usable && rising && count,
            "#/learning_rates",
            "invalid",
            || "Name 1 to 8 rising rates from 1e-8 to 1.".into(),
        );
        let stock = rates.contains(&self.stock_learning_rate);
        check(errors, stock, "#/stock_learning_rate", "unknown", || {
            "The stock rate must be one of learning_rates.".into()
        });
        let steps = &self.checkpoints;
        let rising = steps.windows(2).all(|pair| pair[0] < pair[1]);
        let last = steps.last().copied().unwrap_or_default();
        let usable = rising && (1..=12).contains(&steps.len()) && last <= MAX_STEPS;
        check(errors, usable, "#/checkpoints", "invalid", || {
            format!("Name 1 to 12 rising steps, at most {MAX_STEPS}.")
        });
        let batch = (1..=64).contains(&self.batch_size);
        check(errors, batch, "#/batch_size", "out_of_range", || {
            "Use 1 to 64 images.".into()
        });
        let rank = match self.family {
            Family::Lora { rank } => (1..=256).contains(&rank),
            _ => true,
        };
        check(errors, rank, "#/family/rank", "out_of_range", || {
            "Use a rank from 1 to 256.".into()
        });
    }

    /// Textual Inversion leaves every weight as it is: there is nothing to preserve, and nothing to average.
    fn validate_inversion(&self, errors: &mut Vec<FieldError>) {
        let trains_weights = self.family != Family::TextualInversion;
        let plain = trains_weights || !self.prior_preservation;
        let pointer = "#/prior_preservation";
        check(errors, plain, pointer, "not_of_this_family", || {
            "Textual Inversion has no prior preservation: write `false`.".into()
        });
        let plain = trains_weights || self.adaptive.clean_average == 0.0;
        let pointer = "#/adaptive/clean_average";
        check(errors, plain, pointer, "not_of_this_family", || {
            "Textual Inversion trains no weights that could be averaged: use 0.".into()
        });
    }

    fn validate_adaptive(&self, errors: &mut Vec<FieldError>) {
        let adaptive = &self.adaptive;
        let steps = adaptive.clean_finetuning_steps <= MAX_STEPS;
        let pointer = "#/adaptive/clean_finetuning_steps";
        check(errors, steps, pointer, "out_of_range", || {
            format!("Use at most {MAX_STEPS} steps.")
        });
        let gamma = adaptive.min_snr_gamma;
        let usable = gamma.is_none_or(|gamma| (0.1..=100.0).contains(&gamma));
        let pointer = "#/adaptive/min_snr_gamma";
        check(errors, usable, pointer, "out_of_range", || {
            "Use a value from 0.1 to 100.".into()
        });
        let share = (0.0..1.0).contains(&adaptive.clean_average);
        let pointer = "#/adaptive/clean_average";
        check(errors, share, pointer, "out_of_range", || {
            "Use a share from 0 to below 1.".into()
        });
        let word = match &adaptive.class_word {
            ClassWord::Swapped { word } => crate::job::is_word(word),
            ClassWord::Kept | ClassWord::LeftOut => true,
        };
        let pointer = "#/adaptive/class_word/word";
        check(errors, word, pointer, "invalid", || {
            "Use one word of at most 32 characters.".into()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> AttackRecipe {
        serde_json::from_value(serde_json::json!({
            "name": "lora-stock",
            "family": {"kind": "lora", "rank": 4},
            "learning_rates": [1e-4, 1e-3],
            "stock_learning_rate": 1e-3,
            "checkpoints": [50, 100],
        }))
        .expect("a recipe")
    }

    #[test]
    fn what_a_recipe_leaves_out_is_the_stock_attack() {
        let recipe = recipe();
        assert_eq!(recipe.validate(), Vec::new());
        assert!(recipe.prior_preservation);
        assert_eq!(recipe.batch_size, 4);
        assert_eq!(recipe.adaptive, Adaptive::default());
        assert_eq!(recipe.family.slug(), "lora_r4");
    }

    #[test]
    fn every_wrong_field_is_named() {
        let mut recipe = recipe();
        recipe.name = "LoRA!".into();
        recipe.family = Family::Lora { rank: 0 };
        recipe.learning_rates = vec![1e-3, f64::NAN];
        recipe.stock_learning_rate = 2.0;
        recipe.checkpoints = vec![100, 50];
        recipe.batch_size = 0;
        recipe.adaptive = Adaptive {
            clean_finetuning_steps: 9_999,
            min_snr_gamma: Some(0.0),
            high_noise_only: false,
            clean_average: 1.0,
            class_word: ClassWord::Swapped {
                word: "two words".into(),
            },
        };
        let pointers: Vec<String> = recipe.validate().into_iter().map(|e| e.pointer).collect();
        assert_eq!(
            pointers,
            [
                "#/name",
                "#/learning_rates",
                "#/stock_learning_rate",
                "#/checkpoints",
                "#/batch_size",
                "#/family/rank",
                "#/adaptive/clean_finetuning_steps",
                "#/adaptive/min_snr_gamma",
                "#/adaptive/clean_average",
                "#/adaptive/class_word/word",
            ]
        );
    }

    #[test]
    fn textual_inversion_has_neither_prior_nor_average() {
        let mut recipe = recipe();
        recipe.family = Family::TextualInversion;
        recipe.adaptive.clean_average = 0.5;
        let pointers: Vec<String> = recipe.validate().into_iter().map(|e| e.pointer).collect();
        assert_eq!(
            pointers,
            ["#/prior_preservation", "#/adaptive/clean_average"]
        );
        recipe.prior_preservation = false;
        recipe.adaptive.clean_average = 0.0;
        assert_eq!(recipe.validate(), Vec::new());
    }

    #[test]
    fn unknown_fields_are_refused() {
        let mut value = serde_json::to_value(recipe()).expect("plain data");
        value["learnin_rate"] = 1.into();
        assert!(serde_json::from_value::<AttackRecipe>(value).is_err());
    }
}
