//! Every field of a certificate is changed, and random damage of every kind is done to its file.

use serde_json::Value;

use super::*;
use crate::{
    evaluation::{ArmResult, CheckpointResult, Estimate, Grade},
    matrix::{
        AtlasCell, Audit, BreakingPointResult, Cause, CellResult, Cost, FamilyResult, Gate,
        GateStatus, HeadlineResult, Innocent, Plan, Point, Tier, TriggerSearch, request,
    },
    revocation::SigningKeys,
    signed::{Refusal, StatementKey, Verified, verify},
};

fn key() -> StatementKey {
    StatementKey::from_seed(&[7; 32])
}

fn estimate(value: f64) -> Estimate {
    let near = canonical::nine_decimals;
    Estimate {
        value,
        low: near(value - 0.1),
        high: near(value + 0.1),
        n: 16,
    }
}

fn arm(rate: f64) -> ArmResult {
    ArmResult {
        similarity: estimate(0.7),
        hit_rate: estimate(rate),
        text_alignment: estimate(0.31),
        class_rate: estimate(0.5),
        objective_rate: estimate(0.25),
        psr: estimate(0.2),
    }
}

fn results(plan: &Plan) -> Vec<CellResult> {
    let one = |cell: &crate::matrix::Cell| CellResult {
        key: plan.key(cell),
        hit_threshold: 0.712_345_678,
        base_text_alignment: 0.3,
        checkpoints: vec![CheckpointResult {
            attack_step: 50,
            clean: arm(0.9),
            protected: arm(0.1),
            similarity_difference: estimate(-0.2),
        }],
        cause: Cause::Competent,
        clean_best: 50,
        protected_best: 50,
        p_value: 0.000_244_141,
        grade: Grade::Resisted,
        faces: Vec::new(),
        cell: cell.clone(),
    };
    plan.cells[..4].iter().map(one).collect()
}

fn breaking_point() -> BreakingPointResult {
    BreakingPointResult {
        family: "lora_r4".into(),
        learning_rate: 1e-4,
        tests: 1,
        held: 1,
        without_evidence: 0,
        median: None,
        low: Some(50),
        high: None,
    }
}

fn audit() -> Audit {
    Audit {
        leak_p_value: Some(0.4),
        leaked: Some(0),
        trigger_rate: Some(estimate(0.8)),
        search: Some(TriggerSearch {
            candidates: 17,
            place: 1,
            ratio: 12.25,
        }),
        ..Audit::default()
    }
}

fn report(plan: &Plan) -> MatrixReport {
    let point = Point {
        attack_step: 50,
        clean: estimate(0.9),
        protected: estimate(0.1),
    };
    let cells = results(plan);
    let mut counts = Counts::default();
    for cell in &plan.cells[4..] {
        counts.not_tested += u32::from(plan.subject(cell).role == Role::Protected);
    }
    for result in &cells {
        if plan.subject(&result.cell).role == Role::Protected {
            counts.count(result.grade);
        }
    }
    MatrixReport {
        tier: Tier::Smoke,
        verdict: "Resisted.".into(),
        grade: Grade::Resisted,
        subjects: plan.subjects.clone(),
        settings: plan.settings.clone(),
        inputs: plan.inputs.clone(),
        planned: Cost {
            cells: 6,
            steps: 1200,
            pictures: 500,
            minutes: 1.5,
        },
        counts,
        headline: HeadlineResult {
            headline: plan.headline.clone(),
            cells: vec![1],
            units: 1,
            competent: 1,
            points: vec![point],
            psr_weak: Some(estimate(0.9)),
            psr: None,
            grade: Grade::Resisted,
        },
        families: vec![FamilyResult {
            family: "lora_r4".into(),
            title: "LoRA (rank 4)".into(),
            counts,
            units: 1,
            clean: Some(estimate(0.9)),
            protected: None,
            difference: None,
            p_value: 0.5,
            p_holm: 1.0,
        }],
        atlas: vec![AtlasCell {
            family: "lora_r4".into(),
            learning_rate: 1e-4,
            attack_step: 50,
            hit_rates: Some(point),
            cells: vec![2],
            competent: 1,
        }],
        breaking_points: vec![breaking_point()],
        innocent: Innocent {
            units: 2,
            difference: Some(estimate(-0.01)),
            ..Innocent::default()
        },
        audit: audit(),
        gates: vec![Gate {
            name: "primary".into(),
            rule: "lower bound".into(),
            measured: Some(estimate(0.9)),
            status: GateStatus::Missed,
            advice: Some("raise \u{3bb}\u{2082}".into()),
        }],
        cells,
        not_tested: plan.cells[4..].to_vec(),
        limits: vec!["Little.".into()],
    }
}

fn certificate() -> Certificate {
    let plan = Plan::new(&request(Tier::Smoke)).expect("a plan");
    let (salt, identifiers, templates) = (
        "00ff".to_owned(),
        vec!["kwl".to_owned(), "lrx".to_owned()],
        vec!["a snapshot of".to_owned()],
    );
    let opened = json!({"identifiers": identifiers, "salt": salt, "templates": templates});
    let injection = json!({
        "base_model_id": format!("mdl_{}", "1".repeat(32)),
        "concepts": [{
            "protected_set_id": format!("set_{}", "1".repeat(32)),
            "class_name": "dog",
            "identifier": "sks",
            "objective": { "kind": "target", "target_class": "apple" },
        }],
        "seed": 7,
    });
    Certificate {
        version: VERSION,
        issued_at: Timestamp::from_milliseconds(1_800_000_000_123),
        signer: key().public(),
        software: Software {
            name: "persguard".into(),
            version: "0.1.0".into(),
            sha256: "5".repeat(64),
        },
        injection: serde_json::from_value(injection).expect("a job"),
        held_out: HeldOut {
            sha256: canonical::sha256(&opened).expect("plain words"),
            salt,
            identifiers,
            templates,
        },
        report: report(&plan),
        scope: SCOPE.map(str::to_owned).to_vec(),
        known_bypasses: KNOWN_BYPASSES.map(str::to_owned).to_vec(),
    }
}

fn file() -> Vec<u8> {
    key().sign(KIND, &certificate()).expect("finite numbers")
}

fn check(file: &[u8]) -> Result<Verified<Certificate>, Refusal> {
    verify(KIND, file, None)
}

/// Every leaf of a document with its pointer.
fn leaves(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| {
            // Names of files have slashes, which pointers write otherwise.
            let name = name.replace('~', "~0").replace('/', "~1");
            leaves(value, &format!("{pointer}/{name}"), found);
        }),
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(at, value)| leaves(value, &format!("{pointer}/{at}"), found));
        }
        _ => found.push(pointer.to_owned()),
    }
}

fn changed(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(format!("{text}x")),
        Value::Number(number) => Value::from(number.as_f64().unwrap_or_default() + 0.001),
        Value::Bool(holds) => Value::from(!holds),
        _ => Value::from(1),
    }
}

#[test]
fn what_was_signed_is_valid_with_and_without_keys() {
    let found = check(&file()).unwrap();
    assert_eq!(found.document, certificate());
    assert!(!found.is_known_key);
    assert_eq!(found.document.contradictions(), Vec::<String>::new());
    let keys = serde_json::to_vec(&SigningKeys {
        keys: vec![key().public()],
    })
    .unwrap();
    let known = verify::<Certificate>(KIND, &file(), Some(&keys)).unwrap();
    assert!(known.is_known_key);
    assert_eq!(known.key_id, key().public().key_id);
    let foreign = StatementKey::from_seed(&[8; 32]).public();
    let foreign = serde_json::to_vec(&SigningKeys {
        keys: vec![foreign],
    })
    .unwrap();
    assert_eq!(
        verify::<Certificate>(KIND, &file(), Some(&foreign)),
        Err(Refusal::Signature)
    );
    assert!(matches!(
        verify::<Certificate>(KIND, &file(), Some(b"{")),
        Err(Refusal::BadKeys(_))
    ));
}

#[test]
fn every_changed_field_is_refused_by_its_name() {
    let whole: Value = serde_json::from_slice(&file()).unwrap();
    let mut pointers = Vec::new();
    leaves(&whole["document"], "", &mut pointers);
    assert!(pointers.len() > 300, "{}", pointers.len());
    for pointer in pointers {
        let mut forged = whole.clone();
        let place = forged["document"].pointer_mut(&pointer).unwrap();
        *place = changed(place);
        let forged = canonical::to_text(&forged).unwrap();
        match check(forged.as_bytes()) {
            Err(Refusal::Changed(named)) => {
                assert!(pointer.starts_with(&named), "{pointer} was called {named}");
            }
            other => panic!("{pointer}: {other:?}"),
        }
    }
}

#[test]
fn a_field_more_or_less_is_refused_by_its_name() {
    let whole: Value = serde_json::from_slice(&file()).unwrap();
    let forge = |change: &dyn Fn(&mut Value)| {
        let mut forged = whole.clone();
        change(&mut forged);
        check(canonical::to_text(&forged).unwrap().as_bytes())
    };
    let more = forge(&|file| file["document"]["report"]["extra"] = json!(1));
    assert_eq!(more, Err(Refusal::Changed("/report/extra".into())));
    let less = forge(&|file| {
        file["document"]["report"]
            .as_object_mut()
            .unwrap()
            .remove("verdict");
    });
    assert_eq!(less, Err(Refusal::Changed("/report/verdict".into())));
    let fewer = forge(&|file| {
        file["document"]["report"]["cells"]
            .as_array_mut()
            .unwrap()
            .pop();
    });
    assert_eq!(fewer, Err(Refusal::Changed("/report/cells/3".into())));
    let swapped = forge(&|file| {
        file["document"]["report"]["cells"]
            .as_array_mut()
            .unwrap()
            .swap(1, 2);
    });
    assert_eq!(swapped, Err(Refusal::Changed("/report/cells/1".into())));
    let beside = forge(&|file| file["note"] = json!("hello"));
    assert!(matches!(beside, Err(Refusal::Unreadable(_))), "{beside:?}");
    let digest = forge(&|file| file["digests"]["/version"] = json!("0"));
    assert_eq!(digest, Err(Refusal::Changed("/version".into())));
}

#[test]
fn whoever_changes_content_and_hash_lacks_the_key() {
    let mut other = certificate();
    other.report.verdict = "Unbreakable.".into();
    let forged = StatementKey::from_seed(&[9; 32])
        .sign(KIND, &other)
        .unwrap();
    let mut forged: Value = serde_json::from_slice(&forged).unwrap();
    assert_eq!(
        check(canonical::to_text(&forged).unwrap().as_bytes()),
        Err(Refusal::Signature)
    );
    let genuine: Value = serde_json::from_slice(&file()).unwrap();
    forged["signature"] = genuine["signature"].clone();
    assert_eq!(
        check(canonical::to_text(&forged).unwrap().as_bytes()),
        Err(Refusal::Signature)
    );
}

#[test]
fn another_layout_of_the_same_content_is_refused() {
    let text = String::from_utf8(file()).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    let twice = text.replacen("{\"digests\"", "{\"signature\":\"x\",\"digests\"", 1);
    let float = text.replacen("\"version\":1}", "\"version\":1.0}", 1);
    assert_ne!(float, text);
    let escaped = text.replacen("\"sks\"", "\"\\u0073ks\"", 1);
    for (name, other) in [
        ("pretty", pretty),
        ("newline", format!("{text}\n")),
        ("the same key twice", twice),
        ("a number written otherwise", float),
        ("a text written otherwise", escaped),
    ] {
        assert!(
            matches!(
                check(other.as_bytes()),
                Err(Refusal::Rewritten(_) | Refusal::Changed(_))
            ),
            "{name}"
        );
    }
}

#[test]
fn unknown_versions_and_foreign_statements_are_told_apart() {
    let mut later = certificate();
    later.version = 2;
    let later = key().sign(KIND, &later).unwrap();
    assert_eq!(check(&later), Err(Refusal::Version("2".into())));
    let foreign = crate::signed::Kind {
        purpose: "persguard revocation",
        ..KIND
    };
    let foreign = key().sign(foreign, &certificate()).unwrap();
    assert_eq!(
        check(&foreign),
        Err(Refusal::Signature),
        "signed for another purpose"
    );
    for text in [
        "",
        "null",
        "[]",
        "{}",
        "{\"digests\":{},\"document\":[],\"signature\":\"\"}",
        "\u{feff}{}",
    ] {
        assert!(
            matches!(check(text.as_bytes()), Err(Refusal::Unreadable(_))),
            "{text}"
        );
    }
}

#[test]
fn huge_and_deep_files_are_refused_without_work() {
    let huge = vec![b' '; usize::try_from(LIMIT_BYTES).unwrap() + 1];
    assert!(matches!(check(&huge), Err(Refusal::TooLarge { .. })));
    let deep = "[".repeat(1_000_000);
    assert!(matches!(
        check(deep.as_bytes()),
        Err(Refusal::Unreadable(_))
    ));
    let long = format!("{{\"{}\":1}}", "x".repeat(1_000_000));
    let Err(refusal) = check(long.as_bytes()) else {
        panic!("refused")
    };
    assert!(
        refusal.to_string().len() < 1000,
        "a hostile file's words are not repeated"
    );
}

/// A small generator: the tests need no randomness that lasts.
struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("below a usize")
    }
}

#[test]
fn random_damage_is_always_refused() {
    let (file, mut rng) = (file(), Xorshift(0x5EED));
    for _ in 0..600 {
        let mut damaged = file.clone();
        let at = rng.below(file.len());
        match rng.below(5) {
            0 => damaged[at] ^= 1 << rng.below(8),
            1 => damaged.truncate(at),
            2 => {
                damaged.remove(at);
            }
            3 => damaged.insert(at, b"0 \"{}[],:a"[rng.below(10)]),
            _ => {
                let to = rng.below(file.len());
                damaged.swap(at, to);
            }
        }
        if damaged != file {
            assert!(check(&damaged).is_err(), "{at}");
        }
    }
    // Every bit of the first part, where hashes and their names lie.
    for at in (0..file.len()).step_by(97) {
        for bit in 0..8 {
            let mut damaged = file.clone();
            damaged[at] ^= 1 << bit;
            assert!(check(&damaged).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn contradictions_are_found() {
    let found = |change: &dyn Fn(&mut Certificate)| {
        let mut certificate = certificate();
        change(&mut certificate);
        certificate.contradictions().join(" ")
    };
    assert!(found(&|c| c.held_out.identifiers[1] = "sks".into()).contains("/held_out"));
    assert!(found(&|c| c.report.counts.resisted += 1).contains("/report/counts"));
    assert!(found(&|c| c.report.cells[2].cell.seed += 1).contains("/report/cells/2: its key"));
    assert!(
        found(&|c| c.report.inputs.protected_sha256 = "x".into())
            .contains("/report/cells/0: its key")
    );
    assert!(found(&|c| c.report.cells[0].cell.subject = 99).contains("no such subject"));
    let unknown = found(&|c| {
        c.held_out.identifiers = vec!["zwx".into()];
    });
    assert!(unknown.contains("was not held out"), "{unknown}");
}

#[test]
fn a_repeated_cell_is_compared_value_by_value() {
    let recorded = certificate().report.cells.remove(0);
    assert_eq!(recorded.differences(&recorded.clone(), 0.0).1, []);
    let mut again = recorded.clone();
    again.checkpoints[0].protected.hit_rate.value += 0.01;
    again.grade = Grade::Weakened;
    let (count, found) = recorded.differences(&again, 0.001);
    let pointers: Vec<&str> = found
        .iter()
        .map(|difference| difference.pointer.as_str())
        .collect();
    assert_eq!(
        pointers,
        ["/checkpoints/0/protected/hit_rate/value", "/grade"]
    );
    assert!(count > 60, "{count}");
    assert_eq!(recorded.differences(&again, 0.1).1.len(), 1);
    again.checkpoints.clear();
    assert!(
        recorded.differences(&again, 0.1).1.len() > 40,
        "what is missing differs"
    );
}

#[test]
fn a_report_gives_its_plan_back() {
    let plan = Plan::new(&request(Tier::Smoke)).unwrap();
    let again = report(&plan).plan();
    assert_eq!((again.cells, again.kept), (plan.cells, 4));
}

#[test]
fn references_are_bound_by_content_and_order() {
    let root = references_root(&[b"one".to_vec(), b"two".to_vec()]);
    assert_ne!(root, references_root(&[b"two".to_vec(), b"one".to_vec()]));
    assert_ne!(root, references_root(&[b"one".to_vec()]));
    assert_eq!(root.len(), 64);
}

#[test]
fn tests_that_were_not_run_are_counted() {
    let mut certificate = certificate();
    assert_eq!(certificate.contradictions(), Vec::<String>::new());
    let said = "/report/counts: the cells say otherwise.";
    certificate.report.counts.not_tested += 1;
    assert_eq!(certificate.contradictions(), [said]);
    certificate.report.counts.not_tested -= 1;
    let hidden = certificate.report.cells.remove(0);
    certificate.report.counts.tested -= 1;
    certificate.report.counts.competent -= 1;
    certificate.report.counts.resisted -= 1;
    certificate.report.not_tested.push(hidden.cell);
    assert_eq!(certificate.contradictions(), [said], "one was dropped");
}
