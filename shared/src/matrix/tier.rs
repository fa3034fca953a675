//! How much of the matrix is planned.

use serde::{Deserialize, Serialize};

use super::{Available, Role};
use crate::attack::{Adaptive, AttackRecipe, Family, IdentifierMode, ImageMode, TemplateMode};

/// How much is planned (EVALUATION, tiers).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Two families at their stock rates, two identifiers, one seed, two controls.
    Smoke,
    /// Five families at two rates, two identifiers, three seeds, every control.
    #[default]
    Standard,
    /// Every recipe at every rate, every identifier, template and choice of images, with and without prior
    /// preservation.
    Full,
}

impl AttackRecipe {
    /// Whether the attacker expects no protection.
    pub fn is_plain(&self) -> bool {
        self.adaptive == Adaptive::default()
    }

    /// Whether template, images and prior are those of the public scripts.
    pub fn is_stock(&self) -> bool {
        self.template == TemplateMode::Train
            && self.images == ImageMode::Seen
            && self.prior_preservation
    }

    /// Whether prior preservation means anything to the family.
    pub fn has_prior(&self) -> bool {
        self.family != Family::TextualInversion
    }
}

impl Tier {
    /// The wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Standard => "standard",
            Self::Full => "full",
        }
    }

    /// Seeds of the attacks.
    pub const fn seeds(self) -> usize {
        match self {
            Self::Smoke => 1,
            Self::Standard | Self::Full => 3,
        }
    }

    /// Which recipes run: of the smaller tiers the first of each family and no adaptive attacker.
    pub(super) fn recipes(self, recipes: &[AttackRecipe]) -> Vec<usize> {
        let limit = match self {
            Self::Smoke => 2,
            Self::Standard => 5,
            Self::Full => return (0..recipes.len()).collect(),
        };
        let mut chosen: Vec<usize> = Vec::new();
        for (at, recipe) in recipes.iter().enumerate() {
            let kind = std::mem::discriminant(&recipe.family);
            let taken = chosen
                .iter()
                .any(|&other| std::mem::discriminant(&recipes[other].family) == kind);
            if !taken && recipe.is_plain() && recipe.is_stock() && chosen.len() < limit {
                chosen.push(at);
            }
        }
        chosen
    }

    /// Learning rates of a recipe, the stock one first, then by distance from it and the faster of equals.
    pub(super) fn learning_rates(self, recipe: &AttackRecipe) -> Vec<f64> {
        let stock = recipe.stock_learning_rate;
        let mut rates = recipe.learning_rates.clone();
        let distance = |rate: f64| (rate / stock).ln().abs();
        rates.sort_by(|l, r| distance(*l).total_cmp(&distance(*r)).then(r.total_cmp(l)));
        let limit = match self {
            Self::Smoke => 1,
            Self::Standard => 2,
            Self::Full if !(recipe.is_plain() && recipe.is_stock()) => 1,
            Self::Full => rates.len(),
        };
        rates.truncate(limit);
        rates
    }

    /// Identifier modes, the headline's first.
    pub(super) const fn identifiers(self) -> &'static [IdentifierMode] {
        const ALL: &[IdentifierMode] = &[
            IdentifierMode::HeldOut,
            IdentifierMode::Same,
            IdentifierMode::Natural,
            IdentifierMode::Pool,
        ];
        match self {
            Self::Smoke | Self::Standard => ALL.split_at(2).0,
            Self::Full => ALL,
        }
    }

    /// What is varied around a plain recipe; the recipe's own choices come first.
    pub(super) fn variations(
        self,
        recipe: &AttackRecipe,
        available: &Available,
    ) -> Vec<AttackRecipe> {
        let mut all = vec![recipe.clone()];
        if self != Self::Full || !recipe.is_plain() || !recipe.is_stock() {
            return all;
        }
        let priors = if recipe.has_prior() {
            &[true, false][..]
        } else {
            &[true][..]
        };
        for &prior in priors {
            for &template in &available.templates {
                for &images in &available.images {
                    let varied = AttackRecipe {
                        prior_preservation: recipe.prior_preservation == prior,
                        template,
                        images,
                        ..recipe.clone()
                    };
                    if !all.contains(&varied) {
                        all.push(varied);
                    }
                }
            }
        }
        all
    }

    /// Whether this control is attacked with this recipe, and it is the `position`-th of its role.
    pub(super) fn attacks_control(
        self,
        role: Role,
        position: usize,
        is_first_recipe: bool,
    ) -> bool {
        match (self, role) {
            (_, Role::Protected) => false,
            (Self::Smoke, _) => is_first_recipe && position == 0,
            (Self::Standard, _) => is_first_recipe,
            (Self::Full, _) => true,
        }
    }
}
