use super::*;

fn estimate(value: f64, low: f64, high: f64, n: u32) -> Estimate {
    Estimate {
        value,
        low,
        high,
        n,
    }
}

fn good() -> Measurements {
    Measurements {
        primary_cell: Some(estimate(0.97, 0.91, 0.99, 48)),
        innocent_user: Some(estimate(-0.01, -0.04, 0.02, 16)),
        text_alignment: Some(estimate(-0.004, -0.01, 0.002, 200)),
        frechet: Some(estimate(2.9, 2.5, 3.4, 5000)),
        specificity: Some(estimate(0.01, 0.002, 0.03, 100)),
        capacity: Some(estimate(0.05, 0.02, 0.08, 10)),
        face_identity: Some(estimate(0.05, 0.01, 0.1, 60)),
        leak: Some(estimate(0.0, 0.0, 0.0, 80)),
        diagnosis: Diagnosis::default(),
    }
}

fn status(measurements: &Measurements, gate: Gate) -> GateStatus {
    let results = gates(measurements);
    assert_eq!(results.len(), GATES.len());
    results.into_iter().find(|r| r.gate == gate).unwrap().status
}

#[test]
fn each_limit_is_met_exactly_and_missed_just_beyond() {
    let measured = good();
    assert!(
        gates(&measured)
            .iter()
            .all(|r| r.status == GateStatus::Passed && r.advice.is_empty())
    );
    let beyond = |change: &dyn Fn(&mut Measurements)| {
        let mut measured = good();
        change(&mut measured);
        let results = gates(&measured);
        let missed: Vec<_> = results
            .into_iter()
            .filter(|r| r.status == GateStatus::Missed)
            .collect();
        assert_eq!(missed.len(), 1, "{missed:?}");
        assert!(!missed[0].advice.is_empty() && missed[0].measured.is_some());
        missed[0].gate
    };
    let set = |slot: &mut Option<Estimate>, low: f64, value: f64| {
        *slot = slot.map(|e| Estimate { low, value, ..e });
    };
    let cases: [(Gate, &dyn Fn(&mut Measurements)); 8] = [
        (Gate::PrimaryCell, &|m| {
            set(&mut m.primary_cell, 0.899, 0.97)
        }),
        (Gate::InnocentUser, &|m| {
            set(&mut m.innocent_user, -0.051, 0.0)
        }),
        (Gate::TextAlignment, &|m| {
            set(&mut m.text_alignment, 0.0, -0.0051)
        }),
        (Gate::Frechet, &|m| set(&mut m.frechet, 0.0, 3.01)),
        (Gate::Specificity, &|m| set(&mut m.specificity, 0.0, 0.0101)),
        (Gate::Capacity, &|m| set(&mut m.capacity, 0.0, 0.051)),
        (Gate::FaceIdentity, &|m| {
            set(&mut m.face_identity, 0.0, 0.051)
        }),
        (Gate::Leak, &|m| set(&mut m.leak, 0.0, 1.0)),
    ];
    for (gate, change) in cases {
        assert_eq!(beyond(change), gate);
    }
}

#[test]
fn few_pictures_can_miss_a_gate_and_cannot_pass_it() {
    let mut measured = good();
    measured.specificity = Some(estimate(0.0, 0.0, 0.2, 20));
    measured.frechet = Some(estimate(0.1, 0.0, 0.2, 400));
    assert_eq!(
        status(&measured, Gate::Specificity),
        GateStatus::NotMeasured
    );
    assert_eq!(status(&measured, Gate::Frechet), GateStatus::NotMeasured);
    measured.specificity = Some(estimate(0.05, 0.01, 0.2, 20));
    assert_eq!(status(&measured, Gate::Specificity), GateStatus::Missed);
    measured.specificity = Some(estimate(f64::NAN, 0.0, 1.0, 500));
    assert_eq!(
        status(&measured, Gate::Specificity),
        GateStatus::NotMeasured
    );
    let nothing = gates(&Measurements::default());
    assert!(nothing.iter().all(|r| r.status == GateStatus::NotMeasured));
}

#[test]
fn gates_only_lower_a_grade() {
    let passed = gates(&good());
    let mut measured = good();
    measured.innocent_user = Some(estimate(-0.2, -0.3, -0.1, 16));
    let missed = gates(&measured);
    measured.leak = Some(estimate(2.0, 2.0, 2.0, 80));
    let leaked = gates(&measured);
    let unmeasured = gates(&Measurements::default());
    for grade in [
        Grade::Resisted,
        Grade::Weakened,
        Grade::NotResisted,
        Grade::NoEvidence,
    ] {
        assert_eq!(gated_grade(grade, &passed), grade);
    }
    assert_eq!(gated_grade(Grade::Resisted, &missed), Grade::Weakened);
    assert_eq!(gated_grade(Grade::NotResisted, &missed), Grade::NotResisted);
    assert_eq!(gated_grade(Grade::Resisted, &leaked), Grade::NotResisted);
    assert_eq!(gated_grade(Grade::NoEvidence, &leaked), Grade::NoEvidence);
    assert_eq!(gated_grade(Grade::Resisted, &unmeasured), Grade::Weakened);
}

#[test]
fn advice_follows_the_diagnosis() {
    let advice = |diagnosis: Diagnosis| {
        let mut measured = good();
        measured.primary_cell = Some(estimate(0.2, 0.1, 0.3, 48));
        measured.diagnosis = diagnosis;
        gates(&measured).swap_remove(0).advice
    };
    let silent = Diagnosis {
        trigger_rate: Some(0.1),
        ..Diagnosis::default()
    };
    assert_eq!(advice(silent), [Advice::AlignIdentifier]);
    let swapped = Diagnosis {
        trigger_rate: Some(0.9),
        trained_identifier: Some(0.8),
        held_out_identifier: Some(0.2),
        trajectory: true,
    };
    assert_eq!(advice(swapped)[0], Advice::TrainUniversally);
    assert_eq!(advice(Diagnosis::default())[0], Advice::UseTrajectory);
}
