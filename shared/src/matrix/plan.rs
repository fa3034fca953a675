//! The plan: every cell of a tier in the order in which a budget is spent.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Cell, MatrixInputs, MatrixSettings, MatrixSubject, PlanRequest, Role, Tier};
use crate::{
    attack::IdentifierMode,
    problem::{FieldError, check},
};

/// Most cells of a plan.
const MAX_CELLS: usize = 50_000;
/// The cell that decides, fixed before any run (EVALUATION, statistics).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Headline {
    /// Name of the recipe: `DreamBooth` on the U-Net.
    pub recipe: String,
    /// Its stock learning rate.
    pub learning_rate: f64,
    /// Always held out.
    pub identifier: IdentifierMode,
    /// Its last checkpoint.
    pub attack_step: u32,
}

/// All cells of a tier; the first `kept` of them run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// How much was planned.
    pub tier: Tier,
    /// What decides.
    pub headline: Headline,
    /// Who is personalized.
    pub subjects: Vec<MatrixSubject>,
    /// What all cells share.
    pub settings: MatrixSettings,
    /// Hashes of models and encoder.
    pub inputs: MatrixInputs,
    /// Cells in the order in which a budget is spent.
    pub cells: Vec<Cell>,
    /// How many of them run; the others are not tested.
    pub kept: u32,
    /// The budget that cut the plan, if one did.
    pub budget_minutes: Option<f64>,
}

impl Plan {
    /// Plans a tier. Every reason why it cannot is named.
    ///
    /// Order: the recipe's own template, images and prior before others; its stock rate before others; the held-out
    /// identifier before others; seed by seed; in each the families in their order, then the controls. So whatever a
    /// budget leaves is balanced: every family has as many seeds as the others but one.
    pub fn new(request: &PlanRequest) -> Result<Self, Vec<FieldError>> {
        let errors = request.validate();
        let headline = request.headline();
        let (true, Some(headline)) = (errors.is_empty(), headline) else {
            return Err(errors);
        };
        let mut ranked = request.ranked();
        if ranked.len() > MAX_CELLS {
            let mut errors = Vec::new();
            check(&mut errors, false, "#/recipes", "too_many", || {
                format!(
                    "These make {} cells; {MAX_CELLS} are the limit.",
                    ranked.len()
                )
            });
            return Err(errors);
        }
        ranked.sort_by_key(|(rank, _)| *rank);
        // A recipe of its own may say what another's variation says too.
        let mut seen = BTreeSet::new();
        ranked.retain(|(_, cell)| {
            let subject = &request.subjects[cell.subject as usize];
            seen.insert((
                cell.subject,
                cell.key(subject, &request.settings, &request.inputs),
            ))
        });
        let numbered = ranked
            .into_iter()
            .zip(1..)
            .map(|((_, cell), number)| Cell { number, ..cell });
        let cells: Vec<Cell> = numbered.collect();
        Ok(Self {
            tier: request.tier,
            headline,
            subjects: request.subjects.clone(),
            settings: request.settings.clone(),
            inputs: request.inputs.clone(),
            kept: u32::try_from(cells.len()).unwrap_or(u32::MAX),
            cells,
            budget_minutes: None,
        })
    }

    /// The cells that run.
    pub fn kept(&self) -> &[Cell] {
        &self.cells[..self.cells.len().min(self.kept as usize)]
    }

    /// The cells that a budget cut.
    pub fn not_tested(&self) -> &[Cell] {
        &self.cells[self.cells.len().min(self.kept as usize)..]
    }

    /// Who a cell personalizes.
    pub fn subject(&self, cell: &Cell) -> &MatrixSubject {
        &self.subjects[cell.subject as usize]
    }

    /// Key of a cell's result.
    pub fn key(&self, cell: &Cell) -> String {
        cell.key(self.subject(cell), &self.settings, &self.inputs)
    }

    /// Key of the attack on the clean base.
    pub fn base_key(&self, cell: &Cell) -> String {
        cell.base_key(self.subject(cell), &self.settings, &self.inputs)
    }

    /// Whether it is one of the cells that decide: the headline's, whatever the seed.
    pub fn is_headline(&self, cell: &Cell) -> bool {
        let headline = &self.headline;
        self.subject(cell).role == Role::Protected
            && cell.recipe.name == headline.recipe
            && cell.learning_rate.to_bits() == headline.learning_rate.to_bits()
            && cell.identifier == headline.identifier
            && cell.recipe.is_stock()
    }
}
