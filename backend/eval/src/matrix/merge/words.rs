//! Verdict and limits in sentences. Refuses to say more than was tested.

use shared::{
    evaluation::Grade,
    matrix::{Counts, Gate, GateStatus, HeadlineResult, Plan},
};

use super::hits;

pub(super) fn verdict(plan: &Plan, headline: &HeadlineResult, counts: Counts) -> String {
    let fixed = &plan.headline;
    let lead = match headline.grade {
        Grade::Resisted => "Resisted the attack that was fixed to decide",
        Grade::Weakened => "Weakened the attack that was fixed to decide, without stopping it",
        Grade::NotResisted => "Did not resist the attack that was fixed to decide",
        Grade::NoEvidence => "No evidence from the attack that was fixed to decide",
    };
    let Some((clean, protected, n)) = hits(headline) else {
        return format!("{lead}: it was not run. {}", counts.sentence());
    };
    format!(
        "{lead} (DreamBooth on the U-Net, {} steps at learning rate {}, held-out identifier, {} {}, n = {n} pictures a \
         model): the subject appeared in {protected} pictures of the protected model and in {clean} of the unprotected one. \
         The grade is that of the checkpoint which the attacker keeps, on the worst seed. {}",
        fixed.attack_step,
        fixed.learning_rate,
        headline.units,
        if headline.units == 1 {
            "unit of subject and seed"
        } else {
            "units of subject and seed"
        },
        counts.sentence(),
    )
}

const fn words(grade: Grade) -> &'static str {
    match grade {
        Grade::Resisted => "resisted",
        Grade::Weakened => "weakened",
        Grade::NotResisted => "not resisted",
        Grade::NoEvidence => "no evidence",
    }
}

/// Which gates took the grade below what the attack alone would give.
pub(super) fn lowered(attack: Grade, grade: Grade, gates: &[Gate]) -> String {
    if attack == grade {
        return String::new();
    }
    let missed = gates
        .iter()
        .filter(|gate| gate.status == GateStatus::Missed);
    let names: Vec<String> = missed.map(|gate| gate.name.replace('_', " ")).collect();
    let why = if names.is_empty() {
        "the primary gate was not measured".to_owned()
    } else {
        format!("missed were {}", names.join(", "))
    };
    format!(
        " Gates lower the grade to \u{201c}{}\u{201d}: {why}.",
        words(grade)
    )
}

pub(super) fn limits(plan: &Plan, headline: &HeadlineResult, counts: Counts) -> Vec<String> {
    let mut limits = vec![
        "Protection holds where people start from the protected weights; the clean weights are public.".to_owned(),
        format!(
            "All similarities are {}'s; other encoders give other numbers and are never compared with these.",
            plan.inputs.encoder
        ),
        "The protected pictures serve both as the attacker's training images and as the references of the similarity."
            .to_owned(),
    ];
    if headline.units < 5 {
        limits.push(format!(
            "{} unit(s) of subject and seed decide: intervals over units are too narrow, and no test over so few can be \
             significant after correction.",
            headline.units
        ));
    }
    if counts.tested > counts.competent {
        limits.push(format!(
            "{} of {} attacks did not work on the unprotected model either; they say nothing about protection.",
            counts.tested - counts.competent,
            counts.tested
        ));
    }
    if counts.not_tested > 0 {
        limits.push(format!(
            "{} planned attacks were not run; they are listed as not tested.",
            counts.not_tested
        ));
    }
    limits
}
