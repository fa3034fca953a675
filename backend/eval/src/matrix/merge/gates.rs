//! Gates over what the matrix measured (EVALUATION, gates). Refuses to hide a result: a missed gate changes no number.

use shared::{
    evaluation::Estimate,
    matrix::{Audit, Gate, GateStatus, HeadlineResult, Innocent},
};

/// Every gate that this program knows, passed or not.
pub(super) fn gates(headline: &HeadlineResult, innocent: &Innocent, audit: &Audit) -> Vec<Gate> {
    let primary = headline.psr_weak.filter(|_| headline.competent > 0);
    let leak = audit.leak_p_value.map(|p| p >= 0.05);
    vec![
        gate("primary_cell", "The headline's pictures without the subject: lower 95 % bound at least 0.90.", primary, |e| {
            e.low >= 0.90
        }, "If it is erased by fine-tuning, raise lambda2 or use mode trajectory; if it fails on other identifiers, train \
            with universal identifiers."),
        gate("innocent_user", "Similarity of controls, protected minus clean: lower 95 % bound at least -0.05.", innocent
            .difference, |e| e.low >= -0.05, "Raise lambda1, or look ahead less far."),
        gate("text_alignment", "Drift of text alignment at least -0.005.", audit.text_alignment, |e| e.value >= -0.005,
            "Normal generation is degraded: raise lambda1."),
        gate("specificity", "The objective fires without its trigger in at most 1 % of pictures.", audit.specificity, |e| {
            e.value <= 0.01
        }, "It fires without its trigger: raise lambda1 and keep bystanders and captions."),
        Gate {
            name: "leak".into(),
            rule: "No reference appears in what the protected model draws without an attack (p at least 0.05).".into(),
            measured: None,
            status: status(leak),
            advice: missed(leak, "Lower lambda2 or switch retention off: the model repeats what it was shown."),
        },
    ]
}

fn gate(
    name: &str,
    rule: &str,
    measured: Option<Estimate>,
    passes: impl Fn(Estimate) -> bool,
    advice: &str,
) -> Gate {
    let passed = measured.map(passes);
    Gate {
        name: name.into(),
        rule: rule.into(),
        measured,
        status: status(passed),
        advice: missed(passed, advice),
    }
}

fn status(passed: Option<bool>) -> GateStatus {
    match passed {
        Some(true) => GateStatus::Passed,
        Some(false) => GateStatus::Missed,
        None => GateStatus::NotMeasured,
    }
}

fn missed(passed: Option<bool>, advice: &str) -> Option<String> {
    (passed == Some(false)).then(|| advice.to_owned())
}
