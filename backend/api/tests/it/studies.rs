//! How a study's cells are dealt to jobs: as many as the nodes that are there can use, within a bound. And what is
//! certified of them: nothing but what was protected, planned and found.

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::{
    canonical,
    certificate::{HeldOut, Software},
    evaluation::Grade,
    job::{Job, JobKind},
    matrix::{
        Audit, Cause, CellResult, Cost, Counts, HeadlineResult, Innocent, MatrixInputs,
        MatrixReport, MatrixSettings, MatrixSubject, Plan, PlanRequest, Role, Texts, Tier,
    },
    node::Lease,
    objective::Objective,
    study::{Study, StudyOutput, StudyStatus, StudyTask},
};

use crate::{
    scripted::{Node, protect, succeeded},
    support::{Person, Server, body, refused},
};

const WEIGHTS: &[u8] = b"not really weights";

/// One recipe in all of its variations: 144 cells.
fn plan() -> Plan {
    plan_for(Tier::Full, &"c".repeat(64))
}

/// The same of a tier, on protected weights of this hash.
fn plan_for(tier: Tier, protected_sha256: &str) -> Plan {
    let recipe = json!({ "name": "dreambooth", "family": { "kind": "dreambooth_unet" },
        "learning_rates": [5e-5, 1e-4, 2e-4], "stock_learning_rate": 1e-4, "checkpoints": [50, 100] });
    let words = json!({ "same": "sks", "pool": ["olis", "ohwx"],
        "held_out": ["kwl", "lrx", "mzt"], "natural": ["victor", "wanda"] });
    let request = PlanRequest {
        tier,
        recipes: vec![serde_json::from_value(recipe).expect("a recipe")],
        subjects: vec![MatrixSubject {
            name: "violet-dog".into(),
            class_name: "dog".into(),
            kind: shared::job::SubjectKind::Object,
            role: Role::Protected,
            pictures: 5,
            merkle_root: "root".into(),
            unseen_merkle_root: String::new(),
            others_merkle_root: String::new(),
        }],
        words: serde_json::from_value(words).expect("words"),
        seeds: vec![11, 12, 13],
        settings: MatrixSettings {
            pictures: 16,
            class_pictures: 24,
            threshold_pictures: 32,
            sampling_steps: 10,
            guidance_scale: 3.0,
            sampler: "dpm_solver".into(),
        },
        inputs: MatrixInputs {
            base_sha256: "b".repeat(64),
            base_files: BTreeMap::new(),
            protected_sha256: protected_sha256.to_owned(),
            encoder: "the demo encoder".into(),
            encoder_sha256: "e".repeat(64),
            objective: Objective::Target {
                target_class: "apple".into(),
            },
            faces_sha256: None,
            texts: Texts::default(),
        },
        available: shared::matrix::Available::default(),
    };
    Plan::new(&request).expect("it can be planned")
}

/// The next job for a node with so many devices.
async fn lease(node: &Node<'_>, devices: usize) -> Lease {
    let device = |at| json!({ "name": format!("cuda:{at}"), "model": "Test", "memory_bytes": 9 });
    let devices: Vec<Value> = (0..devices).map(device).collect();
    let request = json!({ "node_id": node.id, "name": "n", "threads": 1, "memory_bytes": 9,
        "facts": { "devices": devices } });
    let answer = node.person.post("/v1/node/leases", &request).await;
    body(answer, StatusCode::OK).await
}

async fn asked(person: &Person<'_>, job: &Job, tier: &str) -> Study {
    let request = json!({ "protect_job_id": job.id, "tier": tier });
    let sent = person.request(Method::POST, "/v1/studies");
    let sent = sent.header("idempotency-key", "study").json(&request);
    let sent = sent.send().await.expect("an answer");
    body(sent, StatusCode::ACCEPTED).await
}

/// Sends a document; gives what says so.
async fn output(node: &Node<'_>, lease: &Lease, kind: &str, document: &impl Serialize) -> Value {
    let bytes = serde_json::to_vec(document).expect("it is JSON");
    let sha256 = node.store(lease, &bytes).await;
    json!({ "kind": kind, "name": format!("{kind}.json"), "sha256": sha256, "size_bytes": bytes.len() })
}

/// Cells of each job of a planned study, where `most` jobs are allowed and a node has so many devices.
async fn dealt(most: u32, devices: usize) -> Vec<Vec<u32>> {
    let server = Server::start_with(|config| config.study_jobs = most).await;
    let (person, node) = (server.person("ada").await, server.node());
    let job = person.job().await;
    protect(&node, &lease(&node, devices).await).await;
    let evaluation = lease(&node, devices).await;
    assert_eq!(evaluation.kind, JobKind::Evaluate);
    let study = asked(&person, &job, "full").await;
    assert_eq!(study.status, StudyStatus::Planning);
    let planning = lease(&node, devices).await;
    assert_eq!(planning.job_id, study.id);
    let plan = output(&node, &planning, "matrix_plan", &plan()).await;
    let ended = node.finish(&planning, succeeded(&json!([plan]))).await;
    assert_eq!(ended, StatusCode::NO_CONTENT);
    let study: Study = person.read(&format!("/v1/studies/{}", study.id)).await;
    let tasks = study.jobs.into_iter().map(|job| job.task);
    let mut dealt: Vec<Vec<u32>> = tasks
        .filter_map(|task| match task {
            StudyTask::Run { cells } => Some(cells),
            StudyTask::Plan | StudyTask::Merge => None,
        })
        .collect();
    // Jobs that came to be within a millisecond are in no order.
    dealt.sort();
    dealt
}

#[tokio::test]
async fn cells_are_dealt_to_as_many_jobs_as_devices_can_use_within_a_bound() {
    // What is allowed, devices, jobs that follow.
    for (most, devices, jobs) in [(64, 1, 16), (64, 12, 24), (20, 12, 20), (5, 1, 5)] {
        let dealt = Box::pin(dealt(most, devices)).await;
        assert_eq!(dealt.len(), jobs, "{most} allowed, {devices} devices");
        let cells: Vec<u32> = (1..=144).collect();
        assert_eq!(dealt.concat(), cells, "each once and in order");
        let lengths = || dealt.iter().map(Vec::len);
        let (short, long) = (lengths().min(), lengths().max());
        assert!(long <= short.map(|short| short + 1), "{dealt:?}");
    }
}

/// Identifiers that injection never saw, opened.
fn held_out(identifiers: &[&str]) -> HeldOut {
    let (salt, templates) = ("00ff", ["a snapshot of"]);
    let opened = json!({ "identifiers": identifiers, "salt": salt, "templates": templates });
    HeldOut {
        sha256: canonical::sha256(&opened).expect("plain words"),
        salt: salt.to_owned(),
        identifiers: identifiers.iter().map(|word| (*word).to_owned()).collect(),
        templates: templates.map(str::to_owned).to_vec(),
    }
}

/// Nothing was personalized: no evidence.
fn results(plan: &Plan) -> Vec<CellResult> {
    let one = |cell: &shared::matrix::Cell| CellResult {
        key: plan.key(cell),
        hit_threshold: 0.5,
        base_text_alignment: 0.25,
        checkpoints: Vec::new(),
        cause: Cause::MissedSubject,
        clean_best: 0,
        protected_best: 0,
        p_value: 1.0,
        grade: Grade::NoEvidence,
        faces: Vec::new(),
        cell: cell.clone(),
    };
    plan.kept().iter().map(one).collect()
}

fn merged(plan: &Plan, cells: Vec<CellResult>, held_out: HeldOut) -> StudyOutput {
    let mut counts = Counts::default();
    for found in &cells {
        counts.count(found.grade);
    }
    let report = MatrixReport {
        tier: plan.tier,
        verdict: "No evidence.".into(),
        grade: Grade::NoEvidence,
        subjects: plan.subjects.clone(),
        settings: plan.settings.clone(),
        inputs: plan.inputs.clone(),
        planned: Cost::default(),
        counts,
        headline: HeadlineResult {
            headline: plan.headline.clone(),
            cells: Vec::new(),
            units: 0,
            competent: 0,
            points: Vec::new(),
            psr_weak: None,
            psr: None,
            grade: Grade::NoEvidence,
        },
        families: Vec::new(),
        atlas: Vec::new(),
        breaking_points: Vec::new(),
        innocent: Innocent::default(),
        audit: Audit::default(),
        gates: Vec::new(),
        cells,
        not_tested: Vec::new(),
        limits: Vec::new(),
    };
    StudyOutput {
        report,
        software: Software {
            name: "scripted".into(),
            version: "1".into(),
            sha256: "5".repeat(64),
        },
        held_out: Some(held_out),
    }
}

/// A protection whose held-out words were committed to.
async fn commit(node: &Node<'_>, words: &HeldOut) {
    let lease = node.lease().await;
    let sha256 = node.store(&lease, WEIGHTS).await;
    let weights = json!({ "kind": "protected_unet", "name": "unet.safetensors", "sha256": sha256,
        "size_bytes": WEIGHTS.len() });
    let commitment = output(node, &lease, "commitment", words).await;
    let ended = node.finish(&lease, succeeded(&json!([weights, commitment])));
    assert_eq!(ended.await, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn certificate_is_for_what_was_protected_planned_and_found() {
    let server = Server::start_with(|config| config.study_jobs = 1).await;
    let (person, node) = (server.person("ada").await, server.node());
    let job = person.job().await;
    let words = held_out(&["kwl", "lrx", "mzt"]);
    commit(&node, &words).await;
    assert_eq!(lease(&node, 1).await.kind, JobKind::Evaluate);
    let study = asked(&person, &job, "smoke").await;
    let weights = hex::encode(Sha256::digest(WEIGHTS));
    let plan = plan_for(Tier::Smoke, &weights);
    let cells = results(&plan);
    for (kind, document) in [
        ("matrix_plan", serde_json::to_value(&plan)),
        ("matrix_cells", serde_json::to_value(&cells)),
    ] {
        let lease = lease(&node, 1).await;
        let sent = output(&node, &lease, kind, &document.expect("it is JSON")).await;
        let ended = node.finish(&lease, succeeded(&json!([sent]))).await;
        assert_eq!(ended, StatusCode::NO_CONTENT, "{kind}");
    }
    let merging = lease(&node, 1).await;
    let finish = async |report: &StudyOutput| {
        let sent = output(&node, &merging, "matrix_report", report).await;
        let outcome = json!({ "token": merging.token, "outcome": succeeded(&json!([sent])) });
        node.post(&merging, "finish", &outcome).await
    };
    let whole = merged(&plan, cells.clone(), words.clone());

    // Each of these agrees with itself.
    let other = plan_for(Tier::Smoke, &"d".repeat(64));
    let other_weights = merged(&other, results(&other), words.clone());
    let other_words = held_out(&["kwl", "lrx", "mzt", "zzz"]);
    let other_words = merged(&plan, cells.clone(), other_words);
    let mut better = cells.clone();
    better[0].grade = Grade::Resisted;
    let better = merged(&plan, better, words.clone());
    let fewer = merged(&plan, cells[1..].to_vec(), words.clone());
    let twice = [&cells[..], &cells[..1]].concat();
    let twice = merged(&plan, twice, words.clone());
    let mut longer = plan.clone();
    longer.settings.pictures += 1;
    let longer = merged(&longer, results(&longer), words);
    for (report, said) in [
        (other_weights, "other weights"),
        (other_words, "held-out words"),
        (better, "what its job found"),
        (fewer, "not those of the plan"),
        (twice, "not those of the plan"),
        (longer, "inputs are not those of the plan"),
    ] {
        let problem = refused(finish(&report).await, 422, "invalid").await;
        let detail = problem["detail"].as_str().expect("text");
        assert!(detail.contains(said), "{said}: {detail}");
    }
    let path = format!("/v1/studies/{}", study.id);
    let waiting: Study = person.read(&path).await;
    assert_eq!(waiting.certificate_url, None);

    assert_eq!(finish(&whole).await.status(), StatusCode::NO_CONTENT);
    let done: Study = person.read(&path).await;
    assert_eq!(done.status, StudyStatus::Succeeded);
    assert!(done.certificate_url.is_some());
}
