//! Gates over what the matrix measured (EVALUATION, gates). Refuses to hide a result: a missed gate changes no number.

use shared::{
    evaluation::{Estimate, Grade},
    matrix::{Audit, FeatureDistances, Gate, HeadlineResult, Innocent},
};

use crate::metric::gate::{self, Diagnosis, GateResult, Measurements, Requirement, gated_grade};

/// What the gates are held against.
pub(super) struct Evidence<'a> {
    pub(super) headline: &'a HeadlineResult,
    pub(super) innocent: &'a Innocent,
    pub(super) audit: &'a Audit,
    /// PSR-weak of the headline's attack with the concept's own identifier.
    pub(super) trained_identifier: Option<f64>,
    /// Identity hit-rate of the headline; `None` for subjects without a face.
    pub(super) face_identity: Option<Estimate>,
}

/// Every gate, passed or not, and the grade that they leave of the attack's.
pub(super) fn gates(evidence: &Evidence<'_>) -> (Vec<Gate>, Grade) {
    let (headline, audit) = (evidence.headline, evidence.audit);
    // A single control is no interval over controls, but its pictures are what there is.
    let primary = headline.psr_weak.filter(|_| headline.competent > 0);
    let leak = audit.leaked.map(|copies| Estimate {
        value: f64::from(copies),
        low: f64::from(copies),
        high: f64::from(copies),
        n: audit.leak_pictures,
    });
    let results = gate::gates(&Measurements {
        primary_cell: primary,
        innocent_user: evidence.innocent.difference,
        text_alignment: audit.text_alignment,
        specificity: audit.specificity,
        leak,
        frechet: audit.features.as_ref().map(frechet),
        face_identity: evidence.face_identity,
        diagnosis: Diagnosis {
            trigger_rate: audit.trigger_rate.map(|rate| rate.value),
            trained_identifier: evidence.trained_identifier,
            held_out_identifier: primary.map(|psr| psr.value),
            trajectory: audit.looks_ahead,
        },
        ..Measurements::default()
    });
    let grade = gated_grade(headline.grade, &results);
    (results.iter().map(stated).collect(), grade)
}

/// FID of the protected base less that of the clean base; a distance has no interval.
fn frechet(found: &FeatureDistances) -> Estimate {
    let value = found.protected_fid - found.clean_fid;
    Estimate {
        value,
        low: value,
        high: value,
        n: found.pictures,
    }
}

fn stated(result: &GateResult) -> Gate {
    let name = serde_json::to_value(result.gate).unwrap_or_default();
    let advice: Vec<&str> = result
        .advice
        .iter()
        .map(|advice| advice.sentence())
        .collect();
    let bound = match result.requirement {
        Requirement::LowAtLeast(limit) => format!("lower 95 % bound at least {limit}"),
        Requirement::ValueAtLeast(limit) => format!("at least {limit}"),
        Requirement::ValueAtMost(limit) => format!("at most {limit}"),
    };
    Gate {
        name: name.as_str().unwrap_or_default().to_owned(),
        rule: format!("{}: {bound}.", result.gate.measures()),
        measured: result.measured,
        status: result.status,
        advice: (!advice.is_empty()).then(|| advice.join(" ")),
    }
}
