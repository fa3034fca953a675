//! The release of a protected checkpoint: gates that its side effects must pass before it can leave.
//!
//! A failed gate, and one that nobody measured, leave it viewable and nothing more; nothing here can be waved through.

use serde::{Deserialize, Serialize};

use crate::{ApprovalId, JobId, Timestamp, collateral::Collateral, evaluation::Estimate};

/// Least lower bound of `sim(A3) - sim(A2)`: an innocent user personalizes as well as before (EVALUATION, gates).
pub const CONTROL_TOLERANCE: f64 = -0.05;
/// Least drift of text alignment (EVALUATION, gates).
pub const DRIFT_TOLERANCE: f64 = -0.005;
/// Most of the class-only pictures in which the objective fires beyond the clean model's (EVALUATION, specificity).
pub const FIRING_TOLERANCE: f64 = 0.01;

/// How much a control set must have been attacked, whatever its job was launched with: less shows nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ControlFloor {
    /// Pictures of each arm.
    pub images: u32,
    /// Steps of the attack.
    pub steps: u32,
    /// `AdamW` learning rate.
    pub learning_rate: f64,
}

impl ControlFloor {
    /// What holds for the base models of a family.
    pub fn of(family: &str) -> Self {
        match family {
            // The embedded model draws a demonstration that nobody uses elsewhere: half of its stock rate, 1e-4, counts.
            "tiny" => Self {
                images: 4,
                steps: 4,
                learning_rate: 5e-5,
            },
            // Steps that personalize, at half of the lowest stock rate of this size (EVALUATION, attack matrix).
            _ => Self {
                images: 8,
                steps: 100,
                learning_rate: 1e-6,
            },
        }
    }

    /// What a closed gate says where the control was attacked less, or with another word.
    pub fn demand(&self, identifier: &str) -> String {
        format!(
            "Not measured: the control was attacked too little, or with a word that the trigger does not answer to. \
             Evaluate again (POST /v1/jobs/{{id}}/evaluations) with at least {} images, {} steps and a learning rate of \
             {}, no less than the job was launched with, and with the identifier {identifier}.",
            self.images, self.steps, self.learning_rate
        )
    }
}

/// What a gate looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum GateKind {
    /// The job and its evaluation have ended well.
    Evaluation,
    /// A stranger of the same class personalizes as before.
    ControlSet,
    /// The class alone is drawn as before.
    ClassDrift,
    /// Unrelated captions are drawn as before.
    GeneralDrift,
    /// The trigger does not fire on the class alone.
    Specificity,
    /// A second person consented, where that is needed.
    Approval,
    /// No notice has suspended it.
    Notice,
}

impl GateKind {
    /// The wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Evaluation => "evaluation",
            Self::ControlSet => "control_set",
            Self::ClassDrift => "class_drift",
            Self::GeneralDrift => "general_drift",
            Self::Specificity => "specificity",
            Self::Approval => "approval",
            Self::Notice => "notice",
        }
    }
}

/// How a gate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum GateStatus {
    /// Within its tolerance.
    Passed,
    /// Outside of it.
    Failed,
    /// Nobody knows; it counts as closed.
    NotMeasured,
}

impl GateStatus {
    /// The wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotMeasured => "not_measured",
        }
    }
}

/// One gate with its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReleaseGate {
    /// What it looks at.
    pub kind: GateKind,
    /// Position of the concept, where it is one concept's.
    pub concept: Option<u32>,
    /// How it stands.
    pub status: GateStatus,
    /// What was measured.
    pub measured: Option<Estimate>,
    /// What is tolerated, where it is a number.
    pub tolerance: Option<f64>,
    /// The same in a sentence, and what to do.
    pub detail: String,
}

/// Whether a protected checkpoint may leave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Release {
    /// The protect job.
    pub job_id: JobId,
    /// Whether every gate passed.
    pub releasable: bool,
    /// The gates.
    pub gates: Vec<ReleaseGate>,
    /// Where to download weights, disclosure and model card as one archive; absent while a gate is closed.
    pub archive_url: Option<String>,
    /// What cannot be undone.
    pub warning: String,
}

impl ReleaseGate {
    /// A gate that has no number.
    pub fn plain(kind: GateKind, status: GateStatus, detail: impl Into<String>) -> Self {
        Self {
            kind,
            concept: None,
            status,
            measured: None,
            tolerance: None,
            detail: detail.into(),
        }
    }
}

/// The gates over the side effects of one concept.
pub fn gates(concept: u32, found: Option<&Collateral>) -> Vec<ReleaseGate> {
    // Before any step of the attack the stranger is as unknown to the one model as to the other.
    let control = found.and_then(|found| found.control);
    let control = control.filter(|control| control.attack_step > 0);
    let measured = [
        number(
            GateKind::ControlSet,
            control.map(|control| (control.difference, control.difference.low)),
            CONTROL_TOLERANCE,
        ),
        drift(GateKind::ClassDrift, found.map(|found| found.class_drift)),
        drift(
            GateKind::GeneralDrift,
            found.and_then(|found| found.general_drift),
        ),
        specificity(found),
    ];
    let own = |gate| ReleaseGate {
        concept: Some(concept),
        ..gate
    };
    measured.into_iter().map(own).collect()
}

fn drift(kind: GateKind, measured: Option<Estimate>) -> ReleaseGate {
    let value = measured.map(|measured| (measured, measured.value));
    number(kind, value, DRIFT_TOLERANCE)
}

/// A measure and what of it must not lie below the tolerance.
fn number(kind: GateKind, measured: Option<(Estimate, f64)>, tolerance: f64) -> ReleaseGate {
    let Some((measured, counted)) = measured.filter(|(measured, _)| measured.n > 0) else {
        return missing(kind, tolerance);
    };
    let status = status(counted >= tolerance);
    let what = match kind {
        GateKind::ControlSet => "A stranger of the same class, protected minus clean similarity",
        GateKind::ClassDrift => "Text alignment of the class alone, protected minus clean",
        _ => "Text alignment of unrelated captions, protected minus clean",
    };
    let bound = match kind {
        GateKind::ControlSet => "the lower bound",
        _ => "the mean",
    };
    let Estimate {
        value,
        low,
        high,
        n,
    } = measured;
    ReleaseGate {
        kind,
        concept: None,
        status,
        measured: Some(measured),
        tolerance: Some(tolerance),
        detail: format!(
            "{what}: {value:.3} [{low:.3}, {high:.3}], n = {n}; {bound} must be at least {tolerance}."
        ),
    }
}

/// NaN is no pass.
const fn status(within: bool) -> GateStatus {
    if within {
        GateStatus::Passed
    } else {
        GateStatus::Failed
    }
}

fn specificity(found: Option<&Collateral>) -> ReleaseGate {
    let drawn = |found: &&Collateral| found.class_fires.n > 0 && found.class_fires_clean.n > 0;
    let Some(found) = found.filter(drawn) else {
        return missing(GateKind::Specificity, FIRING_TOLERANCE);
    };
    let (fires, before) = (found.class_fires, found.class_fires_clean);
    let excess = fires.value - before.value;
    ReleaseGate {
        kind: GateKind::Specificity,
        concept: None,
        status: status(excess <= FIRING_TOLERANCE),
        measured: Some(fires),
        tolerance: Some(FIRING_TOLERANCE),
        detail: format!(
            "The objective fires in {:.3} of the pictures of the class alone, n = {}, and in {:.3} of the clean \
             model's; at most {FIRING_TOLERANCE} more are tolerated.",
            fires.value, fires.n, before.value
        ),
    }
}

fn missing(kind: GateKind, tolerance: f64) -> ReleaseGate {
    let detail = match kind {
        GateKind::ControlSet => {
            "Not measured: name a set of another subject of the same class in \
             `evaluation.control_set_id` and evaluate again (POST /v1/jobs/{id}/evaluations), with no fewer steps and no \
             lower learning rate than the job was launched with."
        }
        _ => "Not measured: evaluate again (POST /v1/jobs/{id}/evaluations).",
    };
    ReleaseGate {
        tolerance: Some(tolerance),
        ..ReleaseGate::plain(kind, GateStatus::NotMeasured, detail)
    }
}

/// Why a release needs a second person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReviewReason {
    /// A person is protected.
    Person,
    /// As many concepts as one job takes.
    ManyConcepts,
    /// The base model is one that many people use.
    WidelyUsedModel,
    /// A word that tutorials use stands for a person.
    TutorialToken,
}

/// How a request for approval stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ApprovalStatus {
    /// The reviewer has not decided.
    Pending,
    /// The reviewer consented.
    Approved,
    /// The reviewer refused.
    Rejected,
}

/// Asks a second person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateApproval {
    /// The finished protect job.
    pub job_id: JobId,
    /// Address of the reviewer's account: somebody else than who asks.
    #[cfg_attr(
        feature = "openapi",
        schema(pattern = "^[A-Za-z0-9_%+-]{1,60}@[a-z0-9-]{1,60}\\.[a-z]{2,20}$")
    )]
    pub reviewer_email: String,
    /// What the reviewer should know.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_length = 2000))]
    pub note: String,
}

/// A reviewer's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DecideApproval {
    /// Whether the release may go ahead.
    pub approve: bool,
    /// Why; needed for a refusal.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_length = 2000))]
    pub note: String,
}

/// A request for a second person's consent, as both see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Approval {
    /// Identifies the request.
    pub id: ApprovalId,
    /// The protect job.
    pub job_id: JobId,
    /// The weights that it is for; others need another approval.
    pub unet_sha256: String,
    /// Why it is needed.
    pub reasons: Vec<ReviewReason>,
    /// Who is asked.
    pub reviewer_email: String,
    /// What the reviewer should know.
    pub note: String,
    /// How it stands.
    pub status: ApprovalStatus,
    /// The reviewer's words.
    pub decision_note: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collateral::ControlResult;

    fn estimate(value: f64, low: f64) -> Estimate {
        Estimate {
            value,
            low,
            high: value,
            n: 16,
        }
    }

    fn harmless() -> Collateral {
        Collateral {
            class_drift: estimate(-0.004, -0.02),
            class_fires: estimate(0.0, 0.0),
            class_fires_clean: estimate(0.0, 0.0),
            general_drift: Some(estimate(0.0, -0.1)),
            control: Some(ControlResult {
                attack_step: 100,
                images: 5,
                clean: estimate(0.8, 0.7),
                protected: estimate(0.8, 0.7),
                difference: estimate(-0.01, -0.04),
            }),
        }
    }

    fn closed(found: Option<&Collateral>) -> Vec<(GateKind, GateStatus)> {
        gates(0, found)
            .into_iter()
            .filter(|gate| gate.status != GateStatus::Passed)
            .map(|gate| (gate.kind, gate.status))
            .collect()
    }

    #[test]
    fn harmless_weights_pass_and_unmeasured_ones_do_not() {
        assert_eq!(closed(Some(&harmless())), []);
        assert_eq!(closed(None).len(), 4);
        let mut found = harmless();
        found.control = None;
        let control = (GateKind::ControlSet, GateStatus::NotMeasured);
        assert_eq!(closed(Some(&found)), [control]);
    }

    #[test]
    fn no_evidence_is_no_pass() {
        let mut found = harmless();
        found.control.as_mut().unwrap().attack_step = 0;
        let control = (GateKind::ControlSet, GateStatus::NotMeasured);
        assert_eq!(closed(Some(&found)), [control]);
        let mut found = harmless();
        found.control.as_mut().unwrap().difference.n = 0;
        assert_eq!(closed(Some(&found)), [control]);
        let empty = closed(Some(&Collateral::default()));
        assert!(
            empty
                .iter()
                .all(|(_, status)| *status == GateStatus::NotMeasured)
        );
        assert_eq!(empty.len(), 4);
    }

    #[test]
    fn demo_asks_for_less_than_models_that_people_use() {
        let (tiny, other) = (ControlFloor::of("tiny"), ControlFloor::of("sd1"));
        assert!(tiny.images < other.images && tiny.steps < other.steps);
        assert_eq!(other, ControlFloor::of("sdxl"));
        let said = other.demand("sks");
        for part in ["8 images", "100 steps", "0.000001", "identifier sks"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }

    #[test]
    fn each_side_effect_closes_its_own_gate() {
        let change = |change: fn(&mut Collateral)| {
            let mut found = harmless();
            change(&mut found);
            closed(Some(&found))
        };
        let failed = |kind| vec![(kind, GateStatus::Failed)];
        let stranger = change(|found| {
            found.control.as_mut().unwrap().difference.low = -0.051;
        });
        assert_eq!(stranger, failed(GateKind::ControlSet));
        let class = change(|found| found.class_drift.value = -0.006);
        assert_eq!(class, failed(GateKind::ClassDrift));
        let rest = change(|found| found.general_drift = Some(estimate(-0.055, -0.1)));
        assert_eq!(rest, failed(GateKind::GeneralDrift));
        let fires = change(|found| found.class_fires.value = 5.0 / 16.0);
        assert_eq!(fires, failed(GateKind::Specificity));
        let nan = change(|found| found.class_drift.value = f64::NAN);
        assert_eq!(nan, failed(GateKind::ClassDrift));
        let both = change(|found| {
            found.class_fires.value = 0.25;
            found.class_fires_clean.value = 0.25;
        });
        assert_eq!(
            both,
            [],
            "what the clean model does, too, is no side effect"
        );
    }
}
