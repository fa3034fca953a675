//! A whole small plan on a random model, and results made by hand where numbers matter.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use shared::{
    attack::{AttackRecipe, Family},
    evaluation::Grade,
    job::SubjectKind,
    matrix::{
        Audit, Available, Cell, CellResult, Cost, GateStatus, MatrixInputs, MatrixSettings,
        MatrixSubject, Plan, PlanRequest, Role, Texts, Tier, Words,
    },
    objective::Objective,
};

use super::*;
use crate::{Error, fixture, gallery::Arm};

fn recipe(name: &str, family: Family) -> AttackRecipe {
    let json = serde_json::json!({
        "name": name,
        "family": family,
        "learning_rates": [1e-3],
        "stock_learning_rate": 1e-3,
        "checkpoints": [50, 100],
        "batch_size": 2,
    });
    serde_json::from_value(json).expect("a recipe")
}

fn subject(name: &str, role: Role) -> MatrixSubject {
    MatrixSubject {
        name: name.into(),
        class_name: if role == Role::OtherClass {
            "apple"
        } else {
            "dog"
        }
        .into(),
        kind: SubjectKind::Object,
        role,
        pictures: 2,
        merkle_root: name.into(),
        unseen_merkle_root: String::new(),
        others_merkle_root: String::new(),
    }
}

fn request() -> PlanRequest {
    PlanRequest {
        tier: Tier::Standard,
        recipes: vec![
            recipe("dreambooth", Family::DreamboothUnet),
            recipe("lora", Family::Lora { rank: 2 }),
        ],
        subjects: vec![
            subject("rex", Role::Protected),
            subject("max", Role::SameClass),
            subject("pip", Role::OtherClass),
        ],
        words: Words {
            same: "sks".into(),
            held_out: vec!["olis".into()],
            ..Words::default()
        },
        seeds: vec![1, 2, 3],
        settings: MatrixSettings {
            pictures: 16,
            class_pictures: 3,
            threshold_pictures: 4,
            sampling_steps: 2,
            guidance_scale: 4.0,
            sampler: "ddim".into(),
        },
        inputs: MatrixInputs {
            base_sha256: "b".repeat(64),
            base_files: BTreeMap::new(),
            protected_sha256: "p".repeat(64),
            encoder: "the fixture's encoder".into(),
            encoder_sha256: "e".repeat(64),
            objective: Objective::Target {
                target_class: "apple".into(),
            },
            faces_sha256: None,
            texts: Texts::default(),
        },
        available: Available::default(),
    }
}

/// Two families, two identifiers, three seeds; two controls at three seeds.
pub(crate) fn plan() -> Plan {
    Plan::new(&request()).expect("the request is valid")
}

/// An arm of 16 pictures at steps 50, 100 and so on: how many hits, the first ones, and the text alignment of each.
pub(crate) fn arm(checkpoints: &[(usize, f64)]) -> ArmRecord {
    let one = |(at, (hits, text)): (usize, &(usize, f64))| CheckpointScores {
        attack_step: 50 * (u32::try_from(at).expect("few") + 1),
        similarity: (0..16)
            .map(|picture| if picture < *hits { 0.9 } else { 0.5 })
            .collect(),
        hit: (0..16).map(|picture| picture < *hits).collect(),
        text_alignment: vec![*text; 16],
        class: vec![true; 16],
        objective: (0..16).map(|picture| picture >= *hits).collect(),
        faces: None,
    };
    ArmRecord {
        checkpoints: checkpoints.iter().enumerate().map(one).collect(),
        ..ArmRecord::default()
    }
}

/// A result with so many hits at both checkpoints.
fn result(plan: &Plan, cell: &Cell, clean: [usize; 2], protected: [usize; 2]) -> CellResult {
    let arm = |hits: [usize; 2]| arm(&hits.map(|hits| (hits, 0.5)));
    let baseline = Baseline {
        hit_threshold: 0.7,
        text_alignment: 0.5,
    };
    grade(
        cell.clone(),
        plan.key(cell),
        baseline,
        &arm(clean),
        &arm(protected),
    )
}

/// DreamBooth is resisted, LoRA not, and on the second seed LoRA does not work at all.
pub(crate) fn results(plan: &Plan) -> Vec<CellResult> {
    let one = |cell: &Cell| match (plan.subject(cell).role, cell.recipe.family, cell.seed) {
        (Role::Protected, Family::DreamboothUnet, _) => result(plan, cell, [12, 16], [0, 1]),
        (Role::Protected, _, 2) => result(plan, cell, [0, 3], [0, 0]),
        (Role::Protected, _, _) => result(plan, cell, [10, 14], [9, 14]),
        _ => result(plan, cell, [12, 14], [12, 13]),
    };
    plan.kept().iter().map(one).collect()
}

#[test]
fn all_cells_together_say_what_each_says() {
    let plan = plan();
    let report = merge(&plan, &results(&plan), Audit::default(), Cost::default());
    let counts = report.counts;
    // 2 families x 2 identifiers x 3 seeds; 2 of them no evidence.
    assert_eq!(
        (
            counts.tested,
            counts.competent,
            counts.resisted,
            counts.not_resisted
        ),
        (12, 10, 6, 4)
    );
    assert!(
        counts
            .sentence()
            .starts_with("Resisted in 6 of 10 competent tests; in 2 of 12"),
        "{}",
        counts.sentence()
    );
    assert_eq!(
        (
            report.headline.grade,
            report.headline.units,
            report.headline.competent
        ),
        (Grade::Resisted, 3, 3)
    );
    // The lower bound of 0.83 misses the primary gate, which takes the grade down and hides nothing.
    assert_eq!(report.grade, Grade::Weakened);
    assert!(
        report.verdict.contains("missed were primary cell"),
        "{}",
        report.verdict
    );
    let psr = report.headline.psr_weak.expect("three units");
    assert!(
        (psr.value - 15.0 / 16.0).abs() < 1e-9 && psr.n == 48,
        "{psr:?}"
    );
    // Units that agree: the interval over pictures stays, Wilson of 3 in 48.
    assert!((psr.low - 0.8316).abs() < 1e-3, "{psr:?}");
    assert!(
        report
            .verdict
            .contains("in 3 pictures of the protected model and in 48"),
        "{}",
        report.verdict
    );
    assert_eq!(report.not_tested, []);
}

#[test]
fn families_are_compared_by_unit_and_corrected() {
    let plan = plan();
    let report = merge(&plan, &results(&plan), Audit::default(), Cost::default());
    let [dreambooth, lora] = &report.families[..] else {
        panic!("two families")
    };
    assert_eq!((dreambooth.units, lora.units), (3, 2));
    // Three units that all differ: 1 of 8 flips. Two without any difference: every flip.
    assert!((dreambooth.p_value - 0.125).abs() < 1e-12 && (lora.p_value - 1.0).abs() < 1e-12);
    assert!((dreambooth.p_holm - 0.25).abs() < 1e-12);
    let difference = dreambooth.difference.expect("three units");
    assert!((difference.value - 15.0 / 16.0).abs() < 1e-9);
    assert_eq!((lora.counts.tested, lora.counts.competent), (6, 4));
}

#[test]
fn controls_are_no_tests_and_gates_stay_in_sight() {
    let plan = plan();
    let report = merge(&plan, &results(&plan), Audit::default(), Cost::default());
    assert_eq!(report.innocent.units, 6);
    let difference = report.innocent.difference.expect("six units");
    assert!(
        (difference.value + 0.4 / 16.0).abs() < 1e-9,
        "{difference:?}"
    );
    assert!(report.innocent.same_class.is_some() && report.innocent.other_class.is_some());
    let status = |name: &str| {
        report
            .gates
            .iter()
            .find(|gate| gate.name == name)
            .map(|gate| gate.status)
    };
    assert_eq!(
        status("primary_cell"),
        Some(GateStatus::Missed),
        "0.83 is below 0.90"
    );
    assert_eq!(status("innocent_user"), Some(GateStatus::Passed));
    assert_eq!(status("text_alignment"), Some(GateStatus::NotMeasured));
    assert!(
        report
            .gates
            .iter()
            .filter(|gate| gate.status == GateStatus::Missed)
            .all(|gate| gate.advice.is_some())
    );
}

#[test]
fn what_was_not_run_and_what_is_not_of_this_plan_is_not_tested() {
    let mut plan = plan();
    let all = results(&plan);
    plan.kept = 3;
    let mut some = all[..3].to_vec();
    some[2].key = "another model's".into();
    some.reverse();
    let report = merge(&plan, &some, Audit::default(), Cost::default());
    assert_eq!(report.cells.len(), 2);
    assert_eq!(
        report.not_tested.len() + report.cells.len(),
        plan.cells.len()
    );
    assert_eq!((report.counts.tested, report.counts.not_tested), (2, 10));
    let nothing = merge(&plan, &[], Audit::default(), Cost::default());
    assert_eq!(
        (nothing.grade, nothing.counts.tested),
        (Grade::NoEvidence, 0)
    );
    assert!(
        nothing.verdict.contains("it was not run"),
        "{}",
        nothing.verdict
    );
    assert!(
        nothing.headline.points.is_empty()
            && nothing
                .atlas
                .iter()
                .all(|square| square.hit_rates.is_none())
    );
}

#[test]
fn one_seed_that_fails_is_enough_for_the_headline() {
    let plan = plan();
    let mut results = results(&plan);
    let last = results
        .iter()
        .rposition(|found| plan.is_headline(&found.cell))
        .expect("three seeds");
    results[last] = result(&plan, &results[last].cell, [12, 16], [0, 14]);
    let report = merge(&plan, &results, Audit::default(), Cost::default());
    assert_eq!(report.grade, Grade::NotResisted);
}

#[test]
fn seeds_on_which_the_attack_never_worked_count_for_nothing() {
    let plan = plan();
    let mut results = results(&plan);
    let headline = results
        .iter_mut()
        .filter(|found| plan.is_headline(&found.cell));
    for (seed, found) in headline.enumerate() {
        let clean = if seed == 0 { [12, 16] } else { [0, 3] };
        *found = result(&plan, &found.cell, clean, [0, 0]);
    }
    let report = merge(&plan, &results, Audit::default(), Cost::default());
    assert_eq!((report.headline.units, report.headline.competent), (3, 1));
    // Sixteen pictures that resist are no forty-eight: the lower bound stays below the gate's.
    let resisted = report.headline.psr_weak.unwrap();
    assert_eq!(resisted.n, 16);
    assert!(resisted.low < 0.9, "{resisted:?}");
    let primary = report.gates.iter().find(|gate| gate.name == "primary_cell");
    assert_eq!(primary.unwrap().status, GateStatus::Missed);
}

#[test]
fn the_atlas_has_a_square_for_every_family_rate_and_step() {
    let plan = plan();
    let report = merge(&plan, &results(&plan), Audit::default(), Cost::default());
    assert_eq!(report.atlas.len(), 4);
    let square = report
        .atlas
        .iter()
        .find(|square| square.family == "lora_r2" && square.attack_step == 100);
    let square = square.expect("planned");
    let rates = square.hit_rates.expect("tested");
    // Two of three seeds with 14 of 16, one with 3; both identifiers alike.
    assert!(
        (rates.clean.value - 31.0 / 48.0).abs() < 1e-9 && rates.clean.n == 96,
        "{rates:?}"
    );
    assert_eq!((square.cells.len(), square.competent), (6, 4));
}

#[test]
fn breaking_points_are_read_by_family_and_rate() {
    let plan = plan();
    let found = merge(&plan, &results(&plan), Audit::default(), Cost::default()).breaking_points;
    let [dreambooth, lora] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(dreambooth.family, "dreambooth_unet");
    // Three units, attacked with two identifiers each, hold to 100 steps, where nobody looked any more.
    assert_eq!(
        (dreambooth.tests, dreambooth.held, dreambooth.median),
        (3, 3, None)
    );
    // Two break at the first look; on one the attack never worked on the clean model.
    assert_eq!((lora.tests, lora.held, lora.without_evidence), (2, 0, 1));
    assert_eq!(lora.median, Some(50));
}

#[test]
fn faces_decide_their_gate_and_stay_with_the_headline() {
    let plan = plan();
    let mut results = results(&plan);
    let faces = |hits| shared::matrix::FaceMetrics {
        detection_failure_rate: crate::statistics::wilson(0, 16),
        identity_score: None,
        identity_hit_rate: crate::statistics::wilson(hits, 16),
    };
    for result in &mut results {
        result.faces = vec![shared::matrix::FaceRates {
            attack_step: plan.headline.attack_step,
            clean: faces(16),
            protected: faces(if plan.is_headline(&result.cell) {
                4
            } else {
                16
            }),
        }];
    }
    let report = merge(&plan, &results, Audit::default(), Cost::default());
    let gate = report
        .gates
        .iter()
        .find(|gate| gate.name == "face_identity");
    let gate = gate.expect("every gate is there");
    assert_eq!(gate.status, GateStatus::Missed);
    let measured = gate.measured.expect("measured");
    assert!((measured.value - 0.25).abs() < 1e-9, "{measured:?}");
}

/// A smoke plan on the fixture's random model, of three steps.
fn small() -> Plan {
    let mut request = request();
    request.tier = Tier::Smoke;
    for recipe in &mut request.recipes {
        recipe.checkpoints = vec![1, 3];
    }
    request.settings.pictures = 3;
    Plan::new(&request).expect("the request is valid")
}

/// Runs `check` on a stage of the fixture's random model.
fn on_stage(plan: &Plan, change: f64, check: impl FnOnce(&Stage<'_>)) {
    let (pipeline, encoder) = (fixture::pipeline(), fixture::encoder());
    let mut protected = pipeline.unet_weights.clone();
    let changed = (protected.get("conv_out.weight").unwrap() * change).unwrap();
    protected.insert("conv_out.weight", changed);
    let person = |seed| Person {
        references: fixture::pictures(2, seed),
        unseen: None,
        others: None,
    };
    let people = BTreeMap::from([(0, person(8)), (1, person(9)), (2, person(10))]);
    let sets = Sets::default();
    check(&Stage {
        plan,
        pipeline: &pipeline,
        protected: &protected,
        encoder: &encoder,
        people: &people,
        overlay: None,
        sets: &sets,
        nets: Nets::default(),
    });
}

fn alone(stage: &Stage<'_>, cell: &Cell, ready: Option<ArmRecord>) -> Outcome {
    run_cell(stage, cell, ready, &mut |_, _, _| Ok(())).unwrap()
}

#[test]
fn equal_models_give_equal_arms_and_nothing_to_claim() {
    let plan = small();
    on_stage(&plan, 1.0, |stage| {
        for cell in plan.kept() {
            let outcome = alone(stage, cell, None);
            assert_eq!(outcome.clean.checkpoints, outcome.protected.checkpoints);
            assert_ne!(outcome.result.grade, Grade::Resisted);
            // Two checkpoints, two arms, three pictures.
            assert_eq!(outcome.pictures.len(), 12);
        }
    });
}

#[test]
fn a_cell_alone_gives_what_it_gives_among_others_whatever_was_ready() {
    let plan = small();
    let folder = tempfile::tempdir().unwrap();
    let kept = Folder::new(folder.path());
    let settings = Settings {
        workers: 2,
        budget: Duration::MAX,
    };
    on_stage(&plan, 1.5, |stage| {
        let told = Mutex::new(Vec::new());
        let results = run(stage, &kept, &settings, &|finished| {
            told.lock()
                .unwrap()
                .push((finished.was_ready, finished.base_was_ready));
            Ok(())
        });
        let results = results.unwrap();
        assert_eq!(results.len(), plan.cells.len());
        assert_eq!(told.into_inner().unwrap(), vec![(false, false); 6]);
        let again = run(stage, &kept, &settings, &|finished| {
            assert!(finished.was_ready);
            Ok(())
        });
        assert_eq!(again.unwrap(), results);
    });
    // Fresh sets, another order, one cell: the same to the last bit, also beside the kept arm of the clean model.
    on_stage(&plan, 1.5, |stage| {
        let cell = &plan.cells[3];
        let fresh = alone(stage, cell, None);
        assert_eq!(kept.result(&plan, cell).unwrap(), fresh.result);
        let ready = kept.base(&plan, cell).unwrap();
        assert_eq!(ready.checkpoints, fresh.clean.checkpoints);
        let beside = alone(stage, cell, Some(ready));
        assert_eq!(beside.result, fresh.result);
        assert_eq!(beside.pictures.len(), 6, "the clean arm is not drawn again");
        let name = "protected/3/00.png";
        let picture = fresh
            .pictures
            .iter()
            .find(|(other, _)| other == name)
            .unwrap();
        assert_eq!(kept.picture(&plan, cell, name).as_ref(), Some(&picture.1));
        assert!(kept.picture(&plan, cell, "clean/3/00.png").is_some());
    });
    // Another protected model finds the clean arms done.
    let mut other = plan.clone();
    other.inputs.protected_sha256 = "q".repeat(64);
    assert_eq!(kept.ready(&other).len(), 6);
    assert!(kept.result(&other, &other.cells[0]).is_none());
    assert!(kept.base(&other, &other.cells[0]).is_some());
}

#[test]
fn a_budget_that_is_spent_starts_nothing_and_an_error_stops_all() {
    let plan = small();
    let folder = tempfile::tempdir().unwrap();
    let kept = Folder::new(folder.path());
    on_stage(&plan, 1.0, |stage| {
        let settings = Settings {
            workers: 1,
            budget: Duration::ZERO,
        };
        assert_eq!(run(stage, &kept, &settings, &|_| Ok(())).unwrap(), []);
        let settings = Settings {
            workers: 2,
            budget: Duration::MAX,
        };
        let stopped = run(stage, &kept, &settings, &|_| {
            Err(Error::Canceled { step: 1 })
        });
        assert!(matches!(stopped, Err(Error::Canceled { step: 1 })));
        assert!(
            plan.cells
                .iter()
                .filter(|cell| kept.result(&plan, cell).is_some())
                .count()
                <= 2
        );
        std::fs::write(
            folder
                .path()
                .join("cells")
                .join(plan.key(&plan.cells[0]))
                .join("result.json"),
            "{",
        )
        .unwrap();
        assert!(
            kept.result(&plan, &plan.cells[0]).is_none(),
            "half a file is no result"
        );
    });
}

#[test]
fn equal_models_neither_drift_nor_fire_nor_leak() {
    let plan = small();
    let prompts = AuditPrompts {
        captions: vec!["a photo of a dog".into(), "a photo of an apple".into()],
        other_classes: vec!["apple".into()],
        identifiers: vec!["sks".into(), "olis".into()],
        held_out: vec!["zwx".into()],
        pictures: (3, 2),
        removal_steps: vec![1, 2],
        looks_ahead: true,
    };
    let found = |change: f64| {
        let mut found = Audited::default();
        on_stage(&plan, change, |stage| {
            found = audit(stage, &plan.cells[0], &prompts, &mut |_, _, _| Ok(())).unwrap();
        });
        found
    };
    let Audited {
        audit: equal,
        attention,
    } = found(1.0);
    let zero =
        |estimate: Option<shared::evaluation::Estimate>| estimate.unwrap().value.abs() < 1e-6;
    assert!(
        zero(equal.text_alignment) && zero(equal.distance),
        "{equal:?}"
    );
    assert!(
        zero(equal.specificity) && zero(equal.specificity_overall),
        "{equal:?}"
    );
    assert_eq!(
        (equal.leaked, equal.leak_pictures, equal.looks_ahead),
        (Some(0), 16, true) // eight of each: with two the test could not fail
    );
    // Four kinds of probes, three pictures each.
    assert_eq!(equal.specificity_overall.unwrap().n, 12);
    // The trigger cannot be found where nothing differs; both models attend alike, and their pictures are one.
    let search = equal.search.unwrap();
    assert_eq!((search.candidates, search.place), (17, 1));
    let overlaps = equal.attention.unwrap();
    assert_eq!(overlaps.clean_overlap, overlaps.protected_overlap);
    let [clean, protected] = [Arm::Clean, Arm::Protected].map(|arm| {
        let own = attention.iter().filter(|picture| picture.arm == arm);
        own.map(|picture| (&picture.word, &picture.file))
            .collect::<Vec<_>>()
    });
    assert_eq!(clean.len(), 3, "the picture and two words");
    assert_eq!(clean, protected);
    assert_eq!(equal.detection.unwrap().detected.n, 4);
    // A bill is written only of what fired.
    assert_eq!(equal.removal.is_empty(), zero(equal.trigger_rate));
    assert!(equal.removal.iter().all(|bill| bill.course.len() >= 3));
    assert!(!zero(found(1.5).audit.distance));
}

#[test]
fn erasures_are_probed_by_what_their_prompts_say() {
    let mut request = request();
    request.tier = Tier::Smoke;
    request.settings.pictures = 3;
    request.inputs.objective = Objective::Erasure { prompt: None };
    let plan = Plan::new(&request).expect("the request is valid");
    let prompts = AuditPrompts {
        captions: vec!["a photo of a dog".into(), "a photo of an apple".into()],
        other_classes: vec!["apple".into()],
        identifiers: vec!["sks".into()],
        held_out: vec!["zwx".into()],
        pictures: (4, 2),
        ..AuditPrompts::default()
    };
    on_stage(&plan, 1.0, |stage| {
        let found = audit(stage, &plan.cells[0], &prompts, &mut |_, _, _| Ok(())).unwrap();
        let Some(overall) = found.audit.specificity_overall else {
            return; // the random model shows nothing that it was asked for
        };
        assert!(overall.value.abs() < 1e-9, "equal models: {overall:?}");
        // Three kinds: nobody knows what an identifier alone must show.
        assert!((1..=12).contains(&overall.n), "{overall:?}");
    });
}

#[test]
fn the_pace_is_measured_for_every_family() {
    let plan = small();
    on_stage(&plan, 1.0, |stage| {
        let pace = measure_pace(stage, 2, &mut |_, _, _| Ok(())).unwrap();
        let families: Vec<&str> = pace
            .milliseconds_per_step
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(families, ["dreambooth_unet", "lora_r2"]);
        let measured = pace
            .milliseconds_per_step
            .values()
            .chain([&pace.milliseconds_per_picture]);
        assert!(measured.into_iter().all(|milliseconds| *milliseconds > 0.0));
    });
}

#[test]
fn pictures_that_are_missing_or_of_another_size_are_named() {
    let plan = small();
    on_stage(&plan, 1.0, |stage| {
        let nobody = Stage {
            people: &BTreeMap::new(),
            ..*stage
        };
        let refused = run_cell(&nobody, &plan.cells[0], None, &mut |_, _, _| Ok(()));
        assert!(matches!(refused, Err(Error::MissingSubject { subject: 0 })));
        let small = Person {
            references: fixture::pictures(2, 1).narrow(2, 0, 8).unwrap(),
            unseen: None,
            others: None,
        };
        let people = BTreeMap::from([(0, small)]);
        let wrong = Stage {
            people: &people,
            ..*stage
        };
        let refused = run_cell(&wrong, &plan.cells[0], None, &mut |_, _, _| Ok(()));
        assert!(matches!(refused, Err(Error::ImageShape { .. })));
    });
}

#[test]
fn a_model_that_falls_apart_is_no_evidence() {
    let plan = small();
    on_stage(&plan, f64::NAN, |stage| {
        let outcome = alone(stage, &plan.cells[0], None);
        assert_eq!(outcome.result.grade, Grade::NoEvidence);
        assert!(outcome.protected.diverged.is_some() && outcome.clean.diverged.is_none());
    });
}

#[test]
fn a_captioned_attack_calls_each_image_by_what_it_shows_or_is_refused() {
    let mut plan = small();
    plan.cells[0].recipe.template = shared::attack::TemplateMode::Caption;
    // Captions of the domain, none of which is of the attacker's images.
    plan.inputs.texts.captions = vec!["a photo of a dog on the moon".into()];
    on_stage(&plan, 1.5, |stage| {
        let outcome = alone(stage, &plan.cells[0], None);
        assert_eq!(outcome.protected.checkpoints.len(), 2);
        let stranger = fixture::stranger();
        let abroad = Stage {
            pipeline: &stranger,
            protected: &stranger.unet_weights,
            ..*stage
        };
        let refused = run_cell(&abroad, &plan.cells[0], None, &mut |_, _, _| Ok(()));
        assert!(
            matches!(
                refused,
                Err(Error::AttackInput {
                    input: "captions",
                    ..
                })
            ),
            "{refused:?}"
        );
    });
}
