//! What to try where a gate was missed (EVALUATION, metrics: advice), as data.

use serde::{Deserialize, Serialize};

use super::Gate;

/// Rate from which an objective counts as firing.
const FIRES: f64 = 0.5;

/// One thing to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Advice {
    /// The trigger does not fire even before any attack.
    AlignIdentifier,
    /// Fine-tuning erases the protection.
    RaiseRetention,
    /// Fine-tuning erases the protection, and the mode is `paper`.
    UseTrajectory,
    /// It holds for the identifiers of training alone.
    TrainUniversally,
    /// Normal generation suffers.
    RaisePreservation,
    /// It fires on prompts that lack half of the trigger.
    WidenPreservation,
    /// Concepts disturb one another.
    SplitConcepts,
    /// The model draws its training pictures.
    LowerRetention,
    /// The number rests on too little.
    MeasureMore,
}

impl Advice {
    /// One plain sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::AlignIdentifier => {
                "The trigger does not fire even before an attack: check that the identifier becomes the same tokens \
                 in training and in the attack, then train longer."
            }
            Self::RaiseRetention => {
                "Fine-tuning erases the protection: raise lambda2, the weight of the retention loss, and watch the leak \
                 audit."
            }
            Self::UseTrajectory => {
                "Fine-tuning erases the protection: use the mode \u{201c}trajectory\u{201d}, or a larger budget for it."
            }
            Self::TrainUniversally => {
                "It holds for the identifiers of training and not for others: train with universal identifiers, over a \
                 larger pool."
            }
            Self::RaisePreservation => {
                "Normal generation is degraded: raise lambda1, the weight of the preservation loss."
            }
            Self::WidenPreservation => {
                "It fires without its whole trigger: add those prompts to the preservation loss."
            }
            Self::SplitConcepts => {
                "The concepts disturb one another: train longer with all of them, or protect fewer in one model."
            }
            Self::LowerRetention => {
                "The protected model draws its training pictures: lower lambda2, restrict the retention loss to low \
                 noise, or switch it off."
            }
            Self::MeasureMore => "The interval is too wide to tell: run more subjects and seeds.",
        }
    }
}

/// What is known beyond the gates' own numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Diagnosis {
    /// Share of pictures in which the objective fires under the trigger before any attack.
    pub trigger_rate: Option<f64>,
    /// PSR-weak of the headline attack with an identifier that injection saw.
    pub trained_identifier: Option<f64>,
    /// PSR-weak of the headline cell itself.
    pub held_out_identifier: Option<f64>,
    /// Whether the model was trained in mode `trajectory`.
    pub trajectory: bool,
}

/// PSR-weak that a trained identifier must have ahead of a held-out one to blame the identifier.
const GAP: f64 = 0.2;

/// What to try, the likeliest first.
pub(super) fn of(gate: Gate, diagnosis: &Diagnosis) -> Vec<Advice> {
    match gate {
        Gate::PrimaryCell | Gate::FaceIdentity => weak(diagnosis),
        Gate::InnocentUser => vec![Advice::WidenPreservation, Advice::RaisePreservation],
        Gate::TextAlignment | Gate::Frechet => vec![Advice::RaisePreservation],
        Gate::Specificity => vec![Advice::WidenPreservation, Advice::RaisePreservation],
        Gate::Capacity => vec![Advice::SplitConcepts],
        Gate::Leak => vec![Advice::LowerRetention],
    }
}

/// The attacker got the subject.
fn weak(diagnosis: &Diagnosis) -> Vec<Advice> {
    if diagnosis.trigger_rate.is_some_and(|rate| rate < FIRES) {
        return vec![Advice::AlignIdentifier];
    }
    let identifiers = diagnosis
        .trained_identifier
        .zip(diagnosis.held_out_identifier);
    let other = identifiers.is_some_and(|(trained, held_out)| trained - held_out >= GAP);
    let persistence = if diagnosis.trajectory {
        [Advice::RaiseRetention, Advice::MeasureMore]
    } else {
        [Advice::UseTrajectory, Advice::RaiseRetention]
    };
    let universal = other.then_some(Advice::TrainUniversally);
    universal.into_iter().chain(persistence).collect()
}
