use uuid::Uuid;

use super::*;

fn spec() -> JobSpec {
    JobSpec {
        protected_set_id: SetId::from_uuid(Uuid::from_u128(1)),
        base_model_id: ModelId::from_uuid(Uuid::from_u128(2)),
        class_name: "dog".into(),
        identifier: "sks".into(),
        objective: Objective::Target {
            target_class: "apple".into(),
        },
        injection: Injection::default(),
        evaluation: Evaluation::default(),
        seed: 0,
    }
}

#[test]
fn defaults_are_valid_and_follow_the_paper() {
    assert_eq!(spec().validate(), []);
    assert_eq!(Injection::default().steps, 300);
    assert!((Injection::default().lambda_prior - 0.5).abs() < f64::EPSILON);
    assert!((Injection::default().lambda_retention - 0.1).abs() < f64::EPSILON);
}

#[test]
fn a_trigger_needs_two_words_and_another_target() {
    let mut bad = spec();
    bad.identifier = "Dog".into();
    bad.objective = Objective::Target {
        target_class: "DOG".into(),
    };
    let codes: Vec<String> = bad.validate().into_iter().map(|error| error.code).collect();
    assert_eq!(codes, ["identifier_is_class", "target_is_class"]);
}

#[test]
fn numbers_out_of_range_are_named() {
    let mut bad = spec();
    bad.injection.learning_rate = f64::NAN;
    bad.injection.steps = 0;
    bad.evaluation.checkpoints = vec![200, 100];
    let pointers: Vec<String> = bad
        .validate()
        .into_iter()
        .map(|error| error.pointer)
        .collect();
    assert_eq!(
        pointers,
        [
            "#/injection/steps",
            "#/injection/learning_rate",
            "#/evaluation/checkpoints"
        ]
    );
}

#[test]
fn unknown_fields_are_refused() {
    let mut json = serde_json::to_value(spec()).unwrap();
    json["injection"]["stepz"] = 3.into();
    assert!(serde_json::from_value::<JobSpec>(json).is_err());
}

#[test]
fn final_states_never_change() {
    for from in JobStatus::ALL {
        for to in JobStatus::ALL {
            assert!(
                !(from.is_final() && from.can_become(to)),
                "{from:?} -> {to:?}"
            );
        }
    }
    assert!(JobStatus::Running.can_become(JobStatus::Queued));
    assert!(!JobStatus::Queued.can_become(JobStatus::Succeeded));
}
