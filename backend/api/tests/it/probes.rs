//! Probes: asked for, done by a node, and what preflights make of them.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use shared::{
    job::{Job, JobKind, JobStatus},
    node::{InputRole, Lease},
    preflight::{CheckStatus, Preflight, PreflightCheck},
};

use crate::{
    scripted::{Node, protect, succeeded},
    support::{Person, Server, body, refused},
};

fn found(known_share: f64, tokens: u32, nearest: f64) -> Value {
    json!({
        "concepts": [{
            "identifier_tokens": tokens, "class_tokens": 1,
            "familiarity": { "class_only": 0.41, "among_images": 0.83, "known_share": known_share, "n": 16 },
            "nearby": [
                { "prompt": "a photo of a dog", "similarity": 0.97 },
                { "prompt": "a photo of a cat", "similarity": nearest },
                { "prompt": "a photo of a car", "similarity": 0.5 },
                { "prompt": "a photo of a tree", "similarity": 0.4 },
            ],
        }],
        "memory_bytes": 900_000, "seconds_per_step": 0.25,
    })
}

fn check<'a>(preflight: &'a Preflight, code: &str) -> Option<&'a PreflightCheck> {
    preflight.checks.iter().find(|check| check.code == code)
}

fn status(preflight: &Preflight, code: &str) -> CheckStatus {
    let check = check(preflight, code);
    check
        .unwrap_or_else(|| panic!("no `{code}`: {preflight:?}"))
        .status
}

async fn finish(node: &Node<'_>, lease: &Lease, name: &str, report: &[u8]) -> StatusCode {
    let sha256 = node.store(lease, report).await;
    let output =
        json!([{ "kind": "probe", "name": name, "sha256": sha256, "size_bytes": report.len() }]);
    node.finish(lease, succeeded(&output)).await
}

async fn probe(person: &Person<'_>, spec: &Value, key: &str, report: &Value) -> Job {
    let job: Job = body(person.probe(spec, key).await, StatusCode::ACCEPTED).await;
    let node = person.server.node();
    let lease = node.lease().await;
    assert_eq!((lease.job_id, lease.kind), (job.id, JobKind::Probe));
    node.beat(&lease, json!([])).await;
    let done = finish(&node, &lease, "probe.json", report.to_string().as_bytes()).await;
    assert_eq!(done, StatusCode::NO_CONTENT);
    person.read(&job.urls.own).await
}

#[tokio::test]
async fn probe_gets_the_inputs_of_a_job_and_is_followed_by_nothing() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let spec = person.spec(&person.sealed_set("x").await).await;
    let before = person.preflight(&spec).await;
    assert_eq!(
        (before.probe, status(&before, "not_probed")),
        (None, CheckStatus::Warn)
    );
    assert_eq!(status(&before, "identifier_token"), CheckStatus::Pass);

    let waiting: Job = body(person.launch(&spec, "job").await, StatusCode::ACCEPTED).await;
    let without_key = person.post("/v1/probes", &spec).await;
    refused(without_key, 400, "idempotency_key_required").await;
    let reused = person.probe(&spec, "job").await;
    refused(reused, 422, "idempotency_key_reused").await;
    let response = person.probe(&spec, "probe").await;
    let place = response.headers()["location"].to_str().unwrap().to_owned();
    let job: Job = body(response, StatusCode::ACCEPTED).await;
    assert_eq!((place, job.kind), (job.urls.own.clone(), JobKind::Probe));
    let again = person.probe(&spec, "probe").await;
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(body::<Job>(again, StatusCode::ACCEPTED).await.id, job.id);
    let during = person.preflight(&spec).await;
    assert_eq!(during.probe, Some(job.id));
    assert!(
        check(&during, "not_probed")
            .unwrap()
            .detail
            .contains("under way")
    );

    // It goes before the job that waits for longer.
    let node = server.node();
    let lease = node.lease().await;
    assert_eq!(lease.job_id, job.id);
    let count = |role| {
        lease
            .inputs
            .iter()
            .filter(|input| input.role == role)
            .count()
    };
    assert_eq!(
        (count(InputRole::ProtectedImage), count(InputRole::Encoder)),
        (3, 1)
    );
    assert!(count(InputRole::ModelFile) > 0);
    node.beat(&lease, json!([])).await;
    let report = found(0.0, 1, 0.8).to_string();
    let done = finish(&node, &lease, "probe.json", report.as_bytes()).await;
    assert_eq!(done, StatusCode::NO_CONTENT);
    let done: Job = person.read(&job.urls.own).await;
    assert_eq!(done.status, JobStatus::Succeeded);
    assert!(done.evaluation_ids.is_empty() && done.gallery_id.is_none());
    assert_eq!(node.lease().await.job_id, waiting.id, "nothing followed it");
    assert!(
        person.preflight(&spec).await.estimate_seconds.is_none(),
        "a probe's time says nothing of a training's"
    );
}

#[tokio::test]
async fn preflight_tells_what_the_probe_found() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let spec = person.spec(&person.sealed_set("x").await).await;
    let job = probe(&person, &spec, "good", &found(0.0, 1, 0.8)).await;
    let good = person.preflight(&spec).await;
    assert_eq!(good.probe, Some(job.id));
    assert!(good.ready, "{good:?}");
    for code in [
        "subject_known",
        "identifier_tokens",
        "blast_radius",
        "planned_memory",
    ] {
        assert_eq!(status(&good, code), CheckStatus::Pass, "{code}");
    }
    for code in ["not_probed", "identifier_token"] {
        assert!(check(&good, code).is_none(), "{code}");
    }
    let radius = &check(&good, "blast_radius").unwrap().detail;
    assert!(radius.contains("\"a photo of a cat\" (0.80)"), "{radius}");
    assert!(!radius.contains("tree"), "three are listed: {radius}");
    let plan = &check(&good, "planned_memory").unwrap().detail;
    assert!(plan.contains("75 seconds for 300 steps"), "{plan}");

    // What the plan was not made for is not told from it.
    for injection in [
        json!({ "batch_size": 16 }),
        json!({ "mode": { "kind": "trajectory" } }),
        json!({ "averaging": 0.9 }),
        json!({ "retention": "off" }),
    ] {
        let mut other = spec.clone();
        other["injection"] = injection;
        let found = person.preflight(&other).await;
        assert_eq!(found.probe, Some(job.id));
        assert!(check(&found, "planned_memory").is_none(), "{other}");
    }

    probe(&person, &spec, "bad", &found(0.5, 3, 0.96)).await;
    let bad = person.preflight(&spec).await;
    for code in ["subject_known", "identifier_tokens", "blast_radius"] {
        assert_eq!(status(&bad, code), CheckStatus::Warn, "{code}");
    }
    let known = &check(&bad, "subject_known").unwrap().detail;
    assert!(
        known.contains("already draws this subject") && known.contains("50 %"),
        "{known}"
    );
    assert!(bad.ready, "warnings do not stop a launch");

    // Other concepts, another owner: another probe.
    let mut other = spec.clone();
    other["concepts"][0]["class_name"] = json!("cat");
    assert_eq!(person.preflight(&other).await.probe, None);
    let eve = server.person("eve").await;
    let theirs = eve.spec(&eve.sealed_set("y").await).await;
    assert_eq!(eve.preflight(&theirs).await.probe, None);
}

#[tokio::test]
async fn job_that_fits_no_node_is_refused() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let spec = person.spec(&person.sealed_set("x").await).await;
    let mut report = found(0.0, 1, 0.8);
    report["memory_bytes"] = json!(2_000_000);
    probe(&person, &spec, "large", &report).await;
    let preflight = person.preflight(&spec).await;
    assert!(!preflight.ready);
    assert_eq!(status(&preflight, "planned_memory"), CheckStatus::Fail);
    let problem = refused(person.launch(&spec, "k").await, 422, "invalid").await;
    assert_eq!(problem["errors"][0]["code"], "planned_memory");
    // Without any node nobody knows.
    server.clock.advance(60_000);
    let preflight = person.preflight(&spec).await;
    assert_eq!(status(&preflight, "planned_memory"), CheckStatus::Warn);
}

#[tokio::test]
async fn planned_memory_goes_with_the_job_and_its_evaluation() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let spec = person.spec(&person.sealed_set("x").await).await;
    probe(&person, &spec, "probe", &found(0.0, 1, 0.8)).await;
    let job: Job = body(person.launch(&spec, "k").await, StatusCode::ACCEPTED).await;
    let node = server.node();
    let device =
        |free: u64| json!({ "name": "cpu", "memory_bytes": 1_000_000, "free_memory_bytes": free });
    let full = node.ask_for(Some(device(899_999)));
    let waits = tokio::time::timeout(Duration::from_millis(500), full).await;
    assert!(waits.is_err(), "it does not fit beside what runs there");
    let lease: Lease = body(node.ask_for(Some(device(900_000))).await, StatusCode::OK).await;
    assert_eq!(
        (lease.job_id, lease.required_memory_bytes),
        (job.id, Some(900_000))
    );
    protect(&node, &lease).await;
    let evaluation = node.lease().await;
    assert_eq!(
        (evaluation.kind, evaluation.required_memory_bytes),
        (JobKind::Evaluate, Some(900_000)),
        "an attack trains the same model"
    );
}

#[tokio::test]
async fn report_that_no_probe_writes_is_refused() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let spec = person.spec(&person.sealed_set("x").await).await;
    let job: Job = body(person.probe(&spec, "k").await, StatusCode::ACCEPTED).await;
    let node = server.node();
    let lease = node.lease().await;
    node.beat(&lease, json!([])).await;
    let none = node.finish(&lease, succeeded(&json!([]))).await;
    assert_eq!(none, StatusCode::UNPROCESSABLE_ENTITY);
    let good = found(0.0, 1, 0.8);
    let mut two = good.clone();
    two["concepts"]
        .as_array_mut()
        .unwrap()
        .push(good["concepts"][0].clone());
    let mut share = good.clone();
    share["concepts"][0]["familiarity"]["known_share"] = json!(1.5);
    let mut flood = good.clone();
    let prompts = vec![json!({ "prompt": "x", "similarity": 0.1 }); 101];
    flood["concepts"][0]["nearby"] = Value::Array(prompts);
    let mut long = good.clone();
    long["concepts"][0]["nearby"][0]["prompt"] = json!("x".repeat(2000));
    let mut huge = good.clone();
    huge["more"] = json!("x".repeat(1024 * 1024));
    let text = good.to_string();
    let cut = text[..text.len() / 2].to_owned();
    let bad = [two, share, flood, long, huge].map(|bad| bad.to_string());
    for report in bad.into_iter().chain([cut, "{}".into(), "[]".into()]) {
        let status = finish(&node, &lease, "probe.json", report.as_bytes()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{report:.200}");
    }
    let named = finish(&node, &lease, "other.json", text.as_bytes()).await;
    assert_eq!(named, StatusCode::UNPROCESSABLE_ENTITY);
    let running: Job = person.read(&job.urls.own).await;
    assert_eq!(
        running.status,
        JobStatus::Running,
        "a refused result changes nothing"
    );
    let done = finish(&node, &lease, "probe.json", text.as_bytes()).await;
    assert_eq!(done, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn failed_probe_is_retried_as_a_probe() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let spec = person.spec(&person.sealed_set("x").await).await;
    let job: Job = body(person.probe(&spec, "k").await, StatusCode::ACCEPTED).await;
    person.post(&job.urls.cancel, &json!({})).await;
    assert_eq!(
        person.preflight(&spec).await.probe,
        None,
        "it ended without a report"
    );
    let path = format!("/v1/jobs/{}/retry", job.id);
    let again: Job = body(person.post(&path, &json!({})).await, StatusCode::ACCEPTED).await;
    assert_eq!(again.kind, JobKind::Probe);
    assert_eq!(person.preflight(&spec).await.probe, Some(again.id));
}
