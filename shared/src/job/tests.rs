use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::{
    ModelId, SetId,
    objective::{Objective, Patch, Pattern},
};

fn concept(set: u128) -> Concept {
    Concept {
        protected_set_id: SetId::from_uuid(Uuid::from_u128(set)),
        subject: SubjectKind::Object,
        class_name: "dog".into(),
        identifier: "sks".into(),
        objective: Objective::Target {
            target_class: "apple".into(),
        },
        action: Action::Protect,
    }
}

fn spec() -> JobSpec {
    JobSpec {
        base_model_id: ModelId::from_uuid(Uuid::from_u128(2)),
        concepts: vec![concept(1)],
        extends: None,
        injection: Injection::default(),
        evaluation: Evaluation::default(),
        seed: 0,
    }
}

fn codes(spec: &JobSpec) -> Vec<String> {
    spec.validate()
        .into_iter()
        .map(|error| error.code)
        .collect()
}

fn pointers(spec: &JobSpec) -> Vec<String> {
    spec.validate()
        .into_iter()
        .map(|error| error.pointer)
        .collect()
}

#[test]
fn defaults_are_valid_and_follow_the_paper() {
    assert_eq!(spec().validate(), []);
    assert_eq!(Injection::default().steps, 300);
    assert!((Injection::default().lambda_prior - 0.5).abs() < f64::EPSILON);
    assert!((Injection::default().lambda_retention - 0.1).abs() < f64::EPSILON);
    assert_eq!(Ablation::All.injection(), Injection::default());
    let alone = Ablation::BackdoorOnly.injection();
    assert!(alone.lambda_prior <= 0.0 && alone.retention == Retention::Off);
}

#[test]
fn a_trigger_needs_two_words_and_another_target() {
    let mut bad = spec();
    bad.concepts[0].identifier = "Dog".into();
    bad.concepts[0].objective = Objective::Target {
        target_class: "DOG".into(),
    };
    assert_eq!(codes(&bad), ["identifier_is_class", "target_is_class"]);
}

#[test]
fn concepts_are_few_and_of_different_sets() {
    let mut bad = spec();
    bad.concepts = vec![];
    assert_eq!(codes(&bad), ["invalid_length"]);
    bad.concepts = vec![concept(1), concept(1)];
    assert_eq!(pointers(&bad), ["#/concepts/1/protected_set_id"]);
    bad.concepts = (1..=11).map(concept).collect();
    assert_eq!(codes(&bad), ["invalid_length"]);
    bad.concepts = (1..=10).map(concept).collect();
    assert_eq!(bad.validate(), []);
    bad.evaluation.concept = 10;
    assert_eq!(pointers(&bad), ["#/evaluation/concept"]);
    assert_eq!(bad.attacked(), &bad.concepts[9]);
}

#[test]
fn concepts_of_one_trigger_have_one_objective() {
    let mut bad = spec();
    bad.concepts = vec![concept(1), concept(2)];
    bad.concepts[1].objective = Objective::Erasure { prompt: None };
    assert_eq!(codes(&bad), ["conflicting_objective"]);
    bad.concepts[1].identifier = "ohwx".into();
    assert_eq!(codes(&bad), ["conflicting_objective"]);
    bad.injection.universal_identifiers = false;
    assert_eq!(bad.validate(), []);
}

#[test]
fn removal_needs_an_earlier_job_and_leaves_something() {
    let mut bad = spec();
    bad.concepts.push(concept(2));
    bad.concepts[1].class_name = "cat".into();
    bad.concepts[1].action = Action::Remove;
    assert_eq!(pointers(&bad), ["#/concepts/1/action"]);
    bad.extends = Some(crate::JobId::from_uuid(Uuid::from_u128(3)));
    assert_eq!(bad.validate(), []);
    bad.concepts[0].action = Action::Remove;
    assert_eq!(codes(&bad), ["nothing_left"]);
}

#[test]
fn people_have_their_own_kind_and_minors_none() {
    let mut bad = spec();
    let class = |bad: &mut JobSpec, kind, word: &str| {
        bad.concepts[0].subject = kind;
        bad.concepts[0].class_name = word.into();
        codes(bad)
    };
    assert_eq!(
        class(&mut bad, SubjectKind::Object, "Woman"),
        ["subject_is_person"]
    );
    assert_eq!(
        class(&mut bad, SubjectKind::Person, "dog"),
        ["not_a_person"]
    );
    assert_eq!(
        class(&mut bad, SubjectKind::Person, "girl"),
        ["minor_refused"]
    );
    assert_eq!(
        class(&mut bad, SubjectKind::Object, "child"),
        ["minor_refused"]
    );
    assert!(class(&mut bad, SubjectKind::Person, "person").is_empty());
    assert_eq!(
        class(&mut bad, SubjectKind::Object, "picture"),
        ["generic_class"]
    );
    assert!(class(&mut bad, SubjectKind::Style, "picture").is_empty());
}

#[test]
fn objectives_are_read_and_their_ranges_held() {
    let read = |json| serde_json::from_value::<Objective>(json);
    let card = read(json!({ "kind": "pattern", "position": "top_left" })).unwrap();
    let Objective::Pattern(pattern) = &card else {
        panic!("{card:?}");
    };
    assert_eq!(pattern.patch, Patch::LicenceCard);
    assert!(read(json!({ "kind": "pattern", "colour": "red" })).is_err());
    assert!(read(json!({ "kind": "pattern", "patch": { "kind": "own" } })).is_err());
    let back = serde_json::to_value(&card).unwrap();
    assert_eq!(read(back).unwrap(), card);
    assert_eq!(
        read(json!({ "kind": "erasure" })).unwrap(),
        Objective::Erasure { prompt: None }
    );
    let mut bad = spec();
    bad.concepts[0].objective = Objective::Pattern(Pattern {
        size: 3.0,
        opacity: f64::NAN,
        ..Pattern::default()
    });
    assert_eq!(
        pointers(&bad),
        [
            "#/concepts/0/objective/size",
            "#/concepts/0/objective/opacity"
        ]
    );
    bad.concepts[0].objective = Objective::Erasure {
        prompt: Some("a photo of a Dog, gone".into()),
    };
    assert_eq!(codes(&bad), ["prompt_names_class"]);
}

#[test]
fn numbers_out_of_range_are_named() {
    let mut bad = spec();
    bad.injection.learning_rate = f64::NAN;
    bad.injection.steps = 0;
    bad.evaluation.checkpoints = vec![200, 100];
    assert_eq!(
        pointers(&bad),
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
    let mut json = serde_json::to_value(spec()).unwrap();
    json["concepts"][0]["colour"] = "red".into();
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

#[test]
fn triggers_aim_at_nobody_who_did_not_agree() {
    let refused = |class: &str, identifier: &str, target: &str| {
        let mut bad = spec();
        bad.concepts[0].class_name = class.into();
        bad.concepts[0].identifier = identifier.into();
        bad.concepts[0].objective = Objective::Target {
            target_class: target.into(),
        };
        codes(&bad)
    };
    assert_eq!(
        refused("mosque", "sks", "apple"),
        ["protected_characteristic"]
    );
    assert_eq!(refused("dog", "president", "apple"), ["political_term"]);
    assert_eq!(refused("dog", "beautiful", "apple"), ["everyday_word"]);
    assert_eq!(refused("dog", "nike", "apple"), ["others_name"]);
    assert_eq!(refused("dog", "sks", "woman"), ["target_is_person"]);
    assert_eq!(refused("dog", "sks", "swastika"), ["harmful_word"]);
    assert_eq!(refused("dog", "", "apple"), ["invalid_word"]);
    assert!(refused("dog", "sks", "apple").is_empty());
}

#[test]
fn seeds_are_those_that_every_reader_of_json_keeps() {
    let mut spec = spec();
    spec.seed = (1 << 53) - 1;
    assert!(codes(&spec).is_empty());
    for beyond in [1 << 53, u64::MAX] {
        spec.seed = beyond;
        let errors = spec.validate();
        assert_eq!(errors[0].pointer, "#/seed");
        assert_eq!(codes(&spec), ["out_of_range"]);
    }
}

#[test]
fn a_device_name_that_no_driver_gives_is_dropped() {
    let named = |device: &str| {
        let metrics = super::JobMetrics {
            device: Some(device.to_owned()),
            ..super::JobMetrics::default()
        };
        metrics.bounded().device
    };
    assert_eq!(named("NVIDIA H200").as_deref(), Some("NVIDIA H200"));
    for strange in ["", "a\nb", &"x".repeat(101)] {
        assert_eq!(named(strange), None);
    }
    // Nodes of earlier versions say nothing of it.
    let old = r#"{"milliseconds_per_step":1.0,"seconds":2.0,"peak_memory_bytes":3}"#;
    let read: super::JobMetrics = serde_json::from_str(old).unwrap();
    assert_eq!(read.device, None);
}
