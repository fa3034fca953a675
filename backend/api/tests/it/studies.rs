//! How a study's cells are dealt to jobs: as many as the nodes that are there can use, within a bound.

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::{
    job::JobKind,
    matrix::{MatrixInputs, MatrixSettings, MatrixSubject, Plan, PlanRequest, Role, Texts, Tier},
    node::Lease,
    objective::Objective,
    study::{Study, StudyStatus, StudyTask},
};

use crate::{
    scripted::{Node, protect, succeeded},
    support::{Server, body},
};

/// One recipe in all of its variations: 144 cells.
fn plan() -> Plan {
    let recipe = json!({ "name": "dreambooth", "family": { "kind": "dreambooth_unet" },
        "learning_rates": [5e-5, 1e-4, 2e-4], "stock_learning_rate": 1e-4, "checkpoints": [50, 100] });
    let words = json!({ "same": "sks", "pool": ["olis", "ohwx"],
        "held_out": ["kwl", "lrx", "mzt"], "natural": ["victor", "wanda"] });
    let request = PlanRequest {
        tier: Tier::Full,
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
            protected_sha256: "c".repeat(64),
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

/// Cells of each job of a planned study, where `most` jobs are allowed and a node has so many devices.
async fn dealt(most: u32, devices: usize) -> Vec<Vec<u32>> {
    let server = Server::start_with(|config| config.study_jobs = most).await;
    let (person, node) = (server.person("ada").await, server.node());
    let job = person.job().await;
    protect(&node, &lease(&node, devices).await).await;
    let evaluation = lease(&node, devices).await;
    assert_eq!(evaluation.kind, JobKind::Evaluate);
    let request = json!({ "protect_job_id": job.id, "tier": "full" });
    let sent = person.request(Method::POST, "/v1/studies");
    let sent = sent.header("idempotency-key", "study").json(&request);
    let sent = sent.send().await.expect("an answer");
    let study: Study = body(sent, StatusCode::ACCEPTED).await;
    assert_eq!(study.status, StudyStatus::Planning);
    let planning = lease(&node, devices).await;
    assert_eq!(planning.job_id, study.id);
    let plan = serde_json::to_vec(&plan()).expect("it is JSON");
    let sha256 = node.store(&planning, &plan).await;
    let output = json!([{ "kind": "matrix_plan", "name": "plan.json", "sha256": sha256, "size_bytes": plan.len() }]);
    let ended = node.finish(&planning, succeeded(&output)).await;
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
