//! Gates over what the matrix measured (EVALUATION, gates). Refuses to hide a result: a missed gate changes no number.

use shared::{
    evaluation::{Estimate, Grade},
    matrix::{Audit, Gate, GateStatus, HeadlineResult, Innocent},
};

use crate::metric::gate::{self, Diagnosis, GateResult, Measurements, Requirement, gated_grade};

/// Every gate, passed or not, and the grade that they leave of the attack's.
///
/// `trained_identifier`: PSR-weak of the headline's attack with the concept's own identifier.
pub(super) fn gates(
    headline: &HeadlineResult,
    innocent: &Innocent,
    audit: &Audit,
    trained_identifier: Option<f64>,
) -> (Vec<Gate>, Grade) {
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
        innocent_user: innocent.difference,
        text_alignment: audit.text_alignment,
        specificity: audit.specificity,
        leak,
        diagnosis: Diagnosis {
            trigger_rate: None,
            trained_identifier,
            held_out_identifier: primary.map(|psr| psr.value),
            trajectory: audit.looks_ahead,
        },
        ..Measurements::default()
    });
    let grade = gated_grade(headline.grade, &results);
    (results.iter().map(stated).collect(), grade)
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
        status: match result.status {
            gate::GateStatus::Passed => GateStatus::Passed,
            gate::GateStatus::Missed => GateStatus::Missed,
            gate::GateStatus::NotMeasured => GateStatus::NotMeasured,
        },
        advice: (!advice.is_empty()).then(|| advice.join(" ")),
    }
}
