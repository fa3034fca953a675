//! What a plan is made of, its rules, and the cells that it asks for. Refuses to run or to cut anything.

use serde::{Deserialize, Serialize};

use super::{Cell, Headline, MatrixInputs, MatrixSettings, MatrixSubject, Role, Tier};
use crate::{
    attack::{AttackRecipe, Family, IdentifierMode, ImageMode, TemplateMode},
    canonical::LARGEST_INTEGER,
    problem::{FieldError, check},
};

/// Most recipes and subjects of a plan.
const MAX_RECIPES: usize = 64;
const MAX_SUBJECTS: usize = 32;

/// Words that attackers choose from, in the order in which seeds take them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Words {
    /// The concept's own identifier.
    pub same: String,
    /// Others that injection trained.
    pub pool: Vec<String>,
    /// Those that injection never saw.
    pub held_out: Vec<String>,
    /// Natural names that injection never saw.
    pub natural: Vec<String>,
}

impl Words {
    fn of(&self, mode: IdentifierMode) -> &[String] {
        match mode {
            IdentifierMode::Same => std::slice::from_ref(&self.same),
            IdentifierMode::Pool => &self.pool,
            IdentifierMode::HeldOut => &self.held_out,
            IdentifierMode::Natural => &self.natural,
        }
    }
}

/// Templates and choices of images that the inputs allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Available {
    /// The attacker's templates.
    pub templates: Vec<TemplateMode>,
    /// The attacker's images.
    pub images: Vec<ImageMode>,
}

impl Default for Available {
    /// What needs nothing but the protected pictures.
    fn default() -> Self {
        Self {
            templates: vec![TemplateMode::Train, TemplateMode::HeldOut],
            images: vec![ImageMode::Seen],
        }
    }
}

/// What a plan is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// How much is planned.
    pub tier: Tier,
    /// Recipes; the first plain `DreamBooth` on the U-Net is the headline's.
    pub recipes: Vec<AttackRecipe>,
    /// The protected subject and its controls.
    pub subjects: Vec<MatrixSubject>,
    /// The attackers' words.
    pub words: Words,
    /// Seeds; a tier takes the first of them.
    pub seeds: Vec<u64>,
    /// What all cells share.
    pub settings: MatrixSettings,
    /// Hashes of models and encoder.
    pub inputs: MatrixInputs,
    /// What can be varied in the full tier.
    pub available: Available,
}

/// How far a cell is from the headline; smaller runs earlier.
pub(super) type Rank = (usize, usize, usize, usize, bool, usize, usize);

impl PlanRequest {
    pub(super) fn headline(&self) -> Option<Headline> {
        let recipe = self.recipes.iter().find(|recipe| {
            recipe.family == Family::DreamboothUnet && recipe.is_plain() && recipe.is_stock()
        })?;
        Some(Headline {
            recipe: recipe.name.clone(),
            learning_rate: recipe.stock_learning_rate,
            identifier: IdentifierMode::HeldOut,
            attack_step: recipe.checkpoints.last().copied()?,
        })
    }

    /// The headline's recipe first, then as given.
    fn ordered(&self) -> Vec<AttackRecipe> {
        let headline = self.headline().map(|headline| headline.recipe);
        let (mut first, rest): (Vec<_>, Vec<_>) = self
            .recipes
            .iter()
            .cloned()
            .partition(|recipe| Some(&recipe.name) == headline.as_ref());
        first.extend(rest);
        first
    }

    pub(super) fn ranked(&self) -> Vec<(Rank, Cell)> {
        let recipes = self.ordered();
        let mut cells = Vec::new();
        for (order, &at) in self.tier.recipes(&recipes).iter().enumerate() {
            for (subject, who) in self.subjects.iter().enumerate() {
                let position = self.subjects[..subject]
                    .iter()
                    .filter(|other| other.role == who.role)
                    .count();
                if who.role == Role::Protected {
                    self.attacks(&recipes[at], (order, subject), &mut cells);
                } else if self.tier.attacks_control(who.role, position, order == 0)
                    && recipes[at].is_plain()
                    && recipes[at].is_stock()
                {
                    self.control(&recipes[at], (order, subject), &mut cells);
                }
            }
        }
        cells
    }

    /// Every cell of a recipe on a protected subject.
    fn attacks(
        &self,
        recipe: &AttackRecipe,
        (order, subject): (usize, usize),
        cells: &mut Vec<(Rank, Cell)>,
    ) {
        let rates = self.tier.learning_rates(recipe);
        let variations = self.tier.variations(recipe, &self.available);
        for (variation, varied) in variations.iter().enumerate() {
            for (rate, &learning_rate) in rates.iter().enumerate() {
                for (turn, &identifier) in self.tier.identifiers().iter().enumerate() {
                    for (round, &seed) in self.seeds().iter().enumerate() {
                        let rank = (variation, rate, turn, round, false, order, subject);
                        let cell =
                            self.cell(varied, learning_rate, identifier, (subject, round, seed));
                        cells.extend(cell.map(|cell| (rank, cell)));
                    }
                }
            }
        }
    }

    /// The innocent user: the stock attack with a word of their own.
    fn control(
        &self,
        recipe: &AttackRecipe,
        (order, subject): (usize, usize),
        cells: &mut Vec<(Rank, Cell)>,
    ) {
        for (round, &seed) in self.seeds().iter().enumerate() {
            let rank = (0, 0, 0, round, true, order, subject);
            let rate = recipe.stock_learning_rate;
            let cell = self.cell(
                recipe,
                rate,
                IdentifierMode::HeldOut,
                (subject, round, seed),
            );
            cells.extend(cell.map(|cell| (rank, cell)));
        }
    }

    /// `None` where there is no word of that kind.
    fn cell(
        &self,
        recipe: &AttackRecipe,
        learning_rate: f64,
        identifier: IdentifierMode,
        (subject, round, seed): (usize, usize, u64),
    ) -> Option<Cell> {
        let words = self.words.of(identifier);
        let word = words.get(round % words.len().max(1))?;
        Some(Cell {
            number: 0,
            recipe: recipe.clone(),
            learning_rate,
            identifier,
            word: word.clone(),
            subject: u32::try_from(subject).unwrap_or(u32::MAX),
            seed,
        })
    }

    fn seeds(&self) -> &[u64] {
        &self.seeds[..self.seeds.len().min(self.tier.seeds())]
    }

    pub(super) fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let count = (1..=MAX_RECIPES).contains(&self.recipes.len());
        check(&mut errors, count, "#/recipes", "invalid", || {
            format!("Name 1 to {MAX_RECIPES} recipes.")
        });
        for (at, recipe) in self.recipes.iter().enumerate().take(MAX_RECIPES) {
            errors.extend(recipe.validate().into_iter().map(|error| FieldError {
                pointer: error.pointer.replacen('#', &format!("#/recipes/{at}"), 1),
                ..error
            }));
            let again = self.recipes[..at]
                .iter()
                .any(|other| other.name == recipe.name);
            check(
                &mut errors,
                !again,
                &format!("#/recipes/{at}/name"),
                "duplicate",
                || "Another recipe has this name.".into(),
            );
        }
        check(
            &mut errors,
            self.headline().is_some(),
            "#/recipes",
            "headline",
            || "One recipe must be plain DreamBooth on the U-Net: it decides.".into(),
        );
        self.validate_subjects(&mut errors);
        self.validate_settings(&mut errors);
        errors
    }

    fn validate_subjects(&self, errors: &mut Vec<FieldError>) {
        let count = self.subjects.len() <= MAX_SUBJECTS;
        let protected = self
            .subjects
            .iter()
            .any(|subject| subject.role == Role::Protected);
        check(errors, count && protected, "#/subjects", "invalid", || {
            format!("Name 1 to {MAX_SUBJECTS} subjects, at least one of them protected.")
        });
        let shown = self.subjects.iter().all(|subject| subject.pictures > 0);
        check(errors, shown, "#/subjects", "empty", || {
            "Every subject needs pictures.".into()
        });
        let held_out = !self.words.held_out.is_empty();
        check(errors, held_out, "#/words/held_out", "empty", || {
            "The headline needs an identifier that injection never saw.".into()
        });
    }

    fn validate_settings(&self, errors: &mut Vec<FieldError>) {
        let mut seeds = self.seeds.clone();
        seeds.sort_unstable();
        seeds.dedup();
        let distinct = seeds.len() == self.seeds.len() && seeds.len() >= self.tier.seeds();
        let kept = seeds.iter().all(|seed| *seed <= LARGEST_INTEGER);
        check(errors, distinct && kept, "#/seeds", "invalid", || {
            format!("Name {} different seeds below 2^53.", self.tier.seeds())
        });
        let settings = &self.settings;
        let counts = [
            settings.pictures,
            settings.class_pictures,
            settings.threshold_pictures,
            settings.sampling_steps,
        ];
        let counts = counts.iter().all(|count| (1..=1024).contains(count));
        check(errors, counts, "#/settings", "out_of_range", || {
            "Use 1 to 1024 pictures and sampling steps.".into()
        });
        let guidance = (0.0..=100.0).contains(&settings.guidance_scale);
        check(
            errors,
            guidance,
            "#/settings/guidance_scale",
            "out_of_range",
            || "Use a guidance scale from 0 to 100.".into(),
        );
    }
}
