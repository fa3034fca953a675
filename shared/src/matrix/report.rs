//! What a cell found, and what all cells say together. Every number with its n and its interval.

use serde::{Deserialize, Serialize};

use super::{
    Audit, Cell, Cost, FaceRates, Headline, MatrixInputs, MatrixSettings, MatrixSubject, Plan, Tier,
};
use crate::evaluation::{CheckpointResult, Estimate, Grade};

/// Why a cell has its grade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The attack worked on the clean model: the cell counts.
    Competent,
    /// The subject hardly appeared on the clean model either.
    MissedSubject,
    /// The attacked clean model no longer followed its prompt.
    LostPrompt,
    /// The attack fell apart on one of the models.
    Diverged,
}

impl Cause {
    /// A sentence for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Competent => "The attack worked on the unprotected model.",
            Self::MissedSubject => "The attack did not work on the unprotected model: no evidence.",
            Self::LostPrompt => {
                "The attacked unprotected model no longer followed its prompt: no evidence."
            }
            Self::Diverged => "The attack fell apart: no evidence.",
        }
    }
}

/// What one cell found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CellResult {
    /// What was run.
    pub cell: Cell,
    /// Hash of what was run and of all its inputs.
    pub key: String,
    /// Similarity from which a picture may count as the subject.
    pub hit_threshold: f64,
    /// Text alignment of the clean base under the class-only prompt.
    pub base_text_alignment: f64,
    /// Both models by attack step.
    pub checkpoints: Vec<CheckpointResult>,
    /// Whether the cell counts.
    pub cause: Cause,
    /// The checkpoint that the attacker keeps on the clean model.
    pub clean_best: u32,
    /// The checkpoint that the attacker keeps on the protected model.
    pub protected_best: u32,
    /// Two-sided p of the exact `McNemar` test between both, on matched seeds.
    pub p_value: f64,
    /// The grade at the checkpoints that the attacker keeps.
    pub grade: Grade,
    /// Faces by attack step; only of persons, and only where face networks were supplied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faces: Vec<FaceRates>,
}

impl CellResult {
    /// What was found after so many attack steps, if pictures were drawn there.
    pub fn at(&self, attack_step: u32) -> Option<&CheckpointResult> {
        let mut checkpoints = self.checkpoints.iter();
        checkpoints.find(|found| found.attack_step == attack_step)
    }
}

/// How many cells on protected subjects ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Run.
    pub tested: u32,
    /// Planned and not run.
    pub not_tested: u32,
    /// The attack worked on the clean model.
    pub competent: u32,
    /// Of these: resisted.
    pub resisted: u32,
    /// Of these: worked less well.
    pub weakened: u32,
    /// Of these: worked all the same.
    pub not_resisted: u32,
}

impl Counts {
    /// Adds a grade.
    pub fn count(&mut self, grade: Grade) {
        self.tested += 1;
        let place = match grade {
            Grade::NoEvidence => return,
            Grade::Resisted => &mut self.resisted,
            Grade::Weakened => &mut self.weakened,
            Grade::NotResisted => &mut self.not_resisted,
        };
        *place += 1;
        self.competent += 1;
    }

    /// "resisted in 41 of 48 competent tests; the attack did not work in 3 of 51".
    pub fn sentence(&self) -> String {
        let failed = self.tested - self.competent;
        let mut parts = vec![format!(
            "Resisted in {} of {} competent tests",
            self.resisted, self.competent
        )];
        if failed > 0 {
            parts.push(format!(
                "; in {failed} of {} the attack did not work on the unprotected model, which is no evidence",
                self.tested
            ));
        }
        if self.not_tested > 0 {
            parts.push(format!("; {} planned tests were not run", self.not_tested));
        }
        parts.concat() + "."
    }
}

/// One value of both models at one attack step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Attack step.
    pub attack_step: u32,
    /// Subject hit-rate of the clean model.
    pub clean: Estimate,
    /// Subject hit-rate of the protected model.
    pub protected: Estimate,
}

/// The cell that decides, over its seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HeadlineResult {
    /// What was fixed before any run.
    pub headline: Headline,
    /// Numbers of the cells behind it.
    pub cells: Vec<u32>,
    /// Units: subjects and seeds.
    pub units: u32,
    /// Units whose attack worked on the clean model.
    pub competent: u32,
    /// Hit-rates by step.
    pub points: Vec<Point>,
    /// Share of pictures of the protected model without the subject, at the headline's step.
    pub psr_weak: Option<Estimate>,
    /// Share of pictures without the subject in which the objective fired, at the headline's step.
    pub psr: Option<Estimate>,
    /// The worst grade of its cells.
    pub grade: Grade,
}

/// All cells of one family on protected subjects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FamilyResult {
    /// [`crate::attack::Family::slug`].
    pub family: String,
    /// For people.
    pub title: String,
    /// How its cells ended.
    pub counts: Counts,
    /// Units with evidence: subjects and seeds.
    pub units: u32,
    /// Hit-rate of the best clean checkpoint, over units with evidence.
    pub clean: Option<Estimate>,
    /// Hit-rate of the best protected checkpoint, over units with evidence.
    pub protected: Option<Estimate>,
    /// Clean minus protected, paired by unit.
    pub difference: Option<Estimate>,
    /// One-sided p of the exact sign-flip test over units; 1 without evidence.
    pub p_value: f64,
    /// Holm's correction over all families.
    pub p_holm: f64,
}

/// One square of the atlas: a family at a rate after some steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AtlasCell {
    /// [`crate::attack::Family::slug`].
    pub family: String,
    /// Learning rate.
    pub learning_rate: f64,
    /// Attack step.
    pub attack_step: u32,
    /// Hit-rates of both models over all pictures behind it; `None`: not tested.
    pub hit_rates: Option<Point>,
    /// Numbers of the cells behind it.
    pub cells: Vec<u32>,
    /// How many of them count.
    pub competent: u32,
}

/// S50 of a family at one learning rate: after how many attack steps half of the units are broken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BreakingPointResult {
    /// [`crate::attack::Family::slug`].
    pub family: String,
    /// Learning rate.
    pub learning_rate: f64,
    /// Units (subject and seed) on which an attack worked on the clean model at some checkpoint. Attacked with
    /// several words, prompts or pictures, a unit breaks with the first; adaptive attackers are left out.
    pub tests: u32,
    /// Of these: still held at the last checkpoint.
    pub held: u32,
    /// Units left out because none ever did: no evidence.
    pub without_evidence: u32,
    /// Kaplan-Meier median in attack steps; `None`: more than half of the units held to the last checkpoint.
    pub median: Option<u32>,
    /// Lower end of its 95 % interval; `None`: beyond the last checkpoint.
    pub low: Option<u32>,
    /// Upper end of its 95 % interval; `None`: beyond the last checkpoint.
    pub high: Option<u32>,
}

/// The innocent user: the same attack on somebody who is not protected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Innocent {
    /// Units: controls and seeds.
    pub units: u32,
    /// `sim(A3) - sim(A2)` at the last checkpoint, of all controls.
    pub difference: Option<Estimate>,
    /// The same of controls of the protected class.
    pub same_class: Option<Estimate>,
    /// The same of controls of other classes.
    pub other_class: Option<Estimate>,
    /// Hit-rate on the clean model.
    pub clean: Option<Estimate>,
    /// Hit-rate on the protected model.
    pub protected: Option<Estimate>,
}

/// How a gate ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = MatrixGateStatus))]
#[serde(rename_all = "snake_case")]
pub enum GateStatus {
    /// Measured and within the limit.
    Passed,
    /// Measured and outside it.
    Missed,
    /// Not measured, or on too few pictures to tell.
    NotMeasured,
}

/// One gate (EVALUATION, gates).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Short name: `primary`, `innocent`.
    pub name: String,
    /// The rule in words.
    pub rule: String,
    /// What was measured.
    pub measured: Option<Estimate>,
    /// How it ended.
    pub status: GateStatus,
    /// What to try, where it was missed.
    pub advice: Option<String>,
}

/// Everything that a matrix found out about one protected model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MatrixReport {
    /// How much was planned.
    pub tier: Tier,
    /// The verdict in one sentence: attacks, steps, n, seeds.
    pub verdict: String,
    /// The grade of the headline.
    pub grade: Grade,
    /// Who was personalized.
    pub subjects: Vec<MatrixSubject>,
    /// What all cells shared.
    pub settings: MatrixSettings,
    /// Hashes of models and encoder.
    pub inputs: MatrixInputs,
    /// What was planned, in steps and pictures.
    pub planned: Cost,
    /// How the cells on protected subjects ended.
    pub counts: Counts,
    /// The cell that decides.
    pub headline: HeadlineResult,
    /// By family.
    pub families: Vec<FamilyResult>,
    /// Steps by rate by family.
    pub atlas: Vec<AtlasCell>,
    /// S50 by family and rate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breaking_points: Vec<BreakingPointResult>,
    /// The innocent user.
    pub innocent: Innocent,
    /// The models as they are.
    pub audit: Audit,
    /// Gates, passed or not.
    pub gates: Vec<Gate>,
    /// Every cell that ran.
    pub cells: Vec<CellResult>,
    /// Every planned cell that did not.
    pub not_tested: Vec<Cell>,
    /// What this does not show, in plain sentences.
    pub limits: Vec<String>,
}

impl MatrixReport {
    /// The plan that this reports on.
    pub fn plan(&self) -> Plan {
        let mut cells: Vec<Cell> = self
            .cells
            .iter()
            .map(|result| result.cell.clone())
            .collect();
        cells.extend(self.not_tested.iter().cloned());
        cells.sort_by_key(|cell| cell.number);
        Plan {
            tier: self.tier,
            headline: self.headline.headline.clone(),
            subjects: self.subjects.clone(),
            settings: self.settings.clone(),
            inputs: self.inputs.clone(),
            kept: u32::try_from(self.cells.len()).unwrap_or(u32::MAX),
            cells,
            budget_minutes: None,
        }
    }

    /// Who a cell personalizes, if the report has them.
    pub fn subject(&self, cell: &Cell) -> Option<&MatrixSubject> {
        self.subjects.get(cell.subject as usize)
    }

    /// The result of a cell by its number.
    pub fn cell(&self, number: u32) -> Option<&CellResult> {
        self.cells
            .iter()
            .find(|result| result.cell.number == number)
    }
}

impl Plan {
    /// Cells on protected subjects that a budget cut.
    pub fn tests_not_run(&self) -> usize {
        let protected = |cell: &&Cell| self.subject(cell).role == super::Role::Protected;
        self.not_tested().iter().filter(protected).count()
    }
}
