//! The node protocol, spoken by a scripted node.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::{
    artifact::{Artifact, ArtifactKind},
    gallery::{Gallery, GallerySummary},
    job::{Job, JobKind, JobStatus},
    node::{InputRole, Lease, NodeCommand},
    page::Page,
};

use crate::support::{Node, Person, Server, body, png, refused};

const METRICS: &str =
    r#"{"milliseconds_per_step":12.5,"seconds":34.0,"peak_memory_bytes":1000000}"#;

fn succeeded(outputs: &Value) -> Value {
    let metrics: Value = serde_json::from_str(METRICS).unwrap();
    json!({ "result": "succeeded", "outputs": outputs, "metrics": metrics })
}

async fn protect(node: &Node<'_>, lease: &Lease) {
    let weights = b"not really weights".to_vec();
    let sha256 = node.store(lease, &weights).await;
    let output = json!([{ "kind": "protected_unet", "name": "unet.safetensors", "sha256": sha256, "size_bytes": weights.len() }]);
    assert_eq!(
        node.finish(lease, succeeded(&output)).await,
        StatusCode::NO_CONTENT
    );
}

fn estimate(value: f64) -> Value {
    json!({ "value": value, "low": value - 0.1, "high": value + 0.1, "n": 1 })
}

fn report() -> Value {
    let arm = |similarity: f64| {
        json!({ "similarity": estimate(similarity), "hit_rate": estimate(0.5),
            "text_alignment": estimate(0.5), "class_rate": estimate(0.5), "target_rate": estimate(0.5) })
    };
    let image = |name: &str| json!({ "name": name, "similarity": 0.5, "hit": true });
    json!({
        "report": {
            "grade": "resisted", "verdict": "Resisted in a test.", "encoder": "test",
            "attack": { "family": "dreambooth_unet", "steps": 200, "learning_rate": 1e-4,
                "prior_preservation": true, "identifier": "zwx", "identifier_held_out": true,
                "prompt": "a photo of zwx dog", "instance_images": 3, "seed": 0 },
            "hit_threshold": 0.6,
            "checkpoints": [{ "attack_step": 200, "clean": arm(0.8), "protected": arm(0.3),
                "similarity_difference": estimate(-0.5) }],
            "limits": ["Other attacks were not tried."],
            "clean_sha256": "a".repeat(64), "protected_sha256": "b".repeat(64)
        },
        "pairs": [{ "attack_step": 200, "seed": 1, "prompt": "a photo of zwx dog",
            "clean": image("clean/200/00.png"), "protected": image("protected/200/00.png") }]
    })
}

async fn evaluation_outputs(node: &Node<'_>, lease: &Lease, report: &[u8]) -> Value {
    let mut outputs = Vec::new();
    let files = [
        ("report", "report.json", report.to_vec()),
        ("gallery_image", "clean/200/00.png", png(32, 32, 1)),
        ("gallery_image", "protected/200/00.png", png(32, 32, 2)),
    ];
    for (kind, name, bytes) in files {
        let sha256 = node.store(lease, &bytes).await;
        outputs.push(
            json!({ "kind": kind, "name": name, "sha256": sha256, "size_bytes": bytes.len() }),
        );
    }
    Value::Array(outputs)
}

#[tokio::test]
async fn job_walks_from_launch_to_gallery() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let job = person.job().await;
    let node = server.node();
    let lease = node.lease().await;
    assert_eq!(
        (lease.job_id, lease.kind, lease.attempt),
        (job.id, JobKind::Protect, 1)
    );
    let count = |role: InputRole| {
        lease
            .inputs
            .iter()
            .filter(|input| input.role == role)
            .count()
    };
    assert_eq!(count(InputRole::ProtectedImage), 3);
    assert!(count(InputRole::ModelFile) > 0 && count(InputRole::Encoder) == 1);
    assert_eq!(
        count(InputRole::ProtectedUnet) + count(InputRole::Resume),
        0
    );
    for input in &lease.inputs {
        let bytes = node.download(&input.url).await;
        assert_eq!(
            hex::encode(Sha256::digest(&bytes)),
            input.sha256,
            "{}",
            input.name
        );
        assert_eq!(bytes.len() as u64, input.size_bytes);
    }
    assert_eq!(
        person.read::<Job>(&job.urls.own).await.status,
        JobStatus::Starting
    );
    assert_eq!(
        node.beat(&lease, json!([])).await.command,
        NodeCommand::Continue
    );
    assert_eq!(
        person.read::<Job>(&job.urls.own).await.status,
        JobStatus::Running
    );
    protect(&node, &lease).await;
    let done: Job = person.read(&job.urls.own).await;
    assert_eq!(done.status, JobStatus::Succeeded);
    assert!((done.metrics.unwrap().milliseconds_per_step - 12.5).abs() < 1e-9);
    let artifacts: Page<Artifact> = person.read(&done.urls.artifacts).await;
    assert_eq!(artifacts.data[0].kind, ArtifactKind::ProtectedUnet);
    download(&person, &artifacts.data[0]).await;

    let second = node.lease().await;
    assert_eq!(
        (Some(second.job_id), second.kind),
        (done.evaluation_id, JobKind::Evaluate)
    );
    let unet = second
        .inputs
        .iter()
        .find(|input| input.role == InputRole::ProtectedUnet)
        .unwrap();
    assert_eq!(node.download(&unet.url).await, b"not really weights");
    node.beat(&second, json!([])).await;
    let outputs = evaluation_outputs(&node, &second, report().to_string().as_bytes()).await;
    assert_eq!(
        node.finish(&second, succeeded(&outputs)).await,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        node.finish(&second, succeeded(&outputs)).await,
        StatusCode::NO_CONTENT,
        "repeated"
    );
    let done: Job = person.read(&job.urls.own).await;
    look_at_gallery(&server, &person, &done).await;
}

async fn download(person: &Person<'_>, artifact: &Artifact) {
    let response = person.get(&artifact.url).await;
    let headers = response.headers().clone();
    assert_eq!(
        headers["etag"].to_str().unwrap(),
        format!("\"{}\"", artifact.sha256)
    );
    assert_eq!(headers["content-length"], "18");
    assert!(
        headers["content-disposition"]
            .to_str()
            .unwrap()
            .contains("unet.safetensors")
    );
    assert_eq!(response.text().await.unwrap(), "not really weights");
    let request = person
        .request(reqwest::Method::GET, &artifact.url)
        .header("range", "bytes=4-9");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(response.headers()["content-range"], "bytes 4-9/18");
    assert_eq!(response.text().await.unwrap(), "really");
}

async fn look_at_gallery(server: &Server, person: &Person<'_>, job: &Job) {
    let path = format!("/v1/galleries/{}", job.gallery_id.unwrap());
    let gallery: Gallery = person.read(&path).await;
    assert_eq!(gallery.report.verdict, "Resisted in a test.");
    assert_eq!((gallery.references.len(), gallery.pairs.len()), (3, 1));
    for url in [&gallery.pairs[0].clean.url, &gallery.references[0]] {
        let image = person.get(url).await;
        assert_eq!(image.headers()["content-type"], "image/png");
        refused(
            server.stranger().get(url).await,
            if url.contains("images") { 401 } else { 404 },
            if url.contains("images") {
                "unauthenticated"
            } else {
                "not_found"
            },
        )
        .await;
    }
    assert_eq!(
        person
            .get(gallery.protected_unet_url.as_ref().unwrap())
            .await
            .status(),
        StatusCode::OK
    );
    let list: Page<GallerySummary> = person.read("/v1/galleries").await;
    assert_eq!(list.data[0].id, gallery.id);
    refused(server.stranger().get(&path).await, 404, "not_found").await;
    refused(
        server.person("eve").await.get(&path).await,
        404,
        "not_found",
    )
    .await;
}

#[tokio::test]
async fn cancel_reaches_the_node_with_its_next_heartbeat() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let job = person.job().await;
    let node = server.node();
    let lease = node.lease().await;
    node.beat(&lease, json!([])).await;
    let response = person.post(&job.urls.cancel, &json!({})).await;
    assert_eq!(
        body::<Job>(response, StatusCode::ACCEPTED).await.status,
        JobStatus::Canceling
    );
    let response = person.post(&job.urls.cancel, &json!({})).await;
    assert_eq!(
        response.status(),
        StatusCode::ACCEPTED,
        "asking again changes nothing"
    );
    assert_eq!(
        node.beat(&lease, json!([])).await.command,
        NodeCommand::Cancel
    );
    assert_eq!(
        node.finish(&lease, json!({ "result": "canceled" })).await,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        person.read::<Job>(&job.urls.own).await.status,
        JobStatus::Canceled
    );
    assert_eq!(
        node.beat(&lease, json!([])).await.command,
        NodeCommand::Fenced
    );
}

async fn until<F: AsyncFn() -> bool>(what: &str, holds: F) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(15), "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn dead_node_s_job_goes_on_from_its_checkpoint_elsewhere() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let job = person.job().await;
    let first = server.node();
    let lease = first.lease().await;
    first.beat(&lease, json!([])).await;
    let state = b"state after step 40".to_vec();
    let sha256 = first.store(&lease, &state).await;
    let request =
        json!({ "token": lease.token, "step": 40, "sha256": sha256, "size_bytes": state.len() });
    assert_eq!(
        first.post(&lease, "resume", &request).await.status(),
        StatusCode::NO_CONTENT
    );
    // The node dies: no heartbeat until the lease runs out.
    server.clock.advance(31_000);
    until("the job returns to the queue", async || {
        person.read::<Job>(&job.urls.own).await.status == JobStatus::Queued
    })
    .await;
    let mut second = server.node();
    second.id = format!("nod_{:032x}", 8);
    let again = second.lease().await;
    assert_eq!((again.job_id, again.attempt), (job.id, 2));
    assert!(again.token > lease.token);
    let resume = again
        .inputs
        .iter()
        .find(|input| input.role == InputRole::Resume)
        .unwrap();
    assert_eq!(second.download(&resume.url).await, state);
    // The first node was only frozen and wakes up: everything it says is refused.
    assert_eq!(
        first.beat(&lease, json!([])).await.command,
        NodeCommand::Fenced
    );
    refused(first.post(&lease, "resume", &request).await, 409, "fenced").await;
    let upload = json!({ "token": lease.token, "sha256": sha256, "size_bytes": state.len() });
    refused(first.post(&lease, "uploads", &upload).await, 409, "fenced").await;
    let finish = json!({ "token": lease.token, "outcome": { "result": "canceled" } });
    refused(first.post(&lease, "finish", &finish).await, 409, "fenced").await;
    second.beat(&again, json!([])).await;
    protect(&second, &again).await;
    let done: Job = person.read(&job.urls.own).await;
    assert_eq!((done.status, done.attempts), (JobStatus::Succeeded, 2));
}

#[tokio::test]
async fn job_that_kills_its_nodes_fails_after_three_attempts() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let job = person.job().await;
    let node = server.node();
    for attempt in 1..=3 {
        let lease = node.lease().await;
        assert_eq!(lease.attempt, attempt);
        server.clock.advance(31_000);
        until("the lease expires", async || {
            let status = person.read::<Job>(&job.urls.own).await.status;
            matches!(status, JobStatus::Queued | JobStatus::Failed)
        })
        .await;
    }
    let failed: Job = person.read(&job.urls.own).await;
    assert_eq!(failed.status, JobStatus::Failed);
    assert_eq!(failed.error.unwrap().code, "node_lost");
}

#[tokio::test]
async fn canceled_job_of_a_dead_node_ends_canceled() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let job = person.job().await;
    let lease = server.node().lease().await;
    server.node().beat(&lease, json!([])).await;
    person.post(&job.urls.cancel, &json!({})).await;
    server.clock.advance(31_000);
    until("the job ends", async || {
        person.read::<Job>(&job.urls.own).await.status == JobStatus::Canceled
    })
    .await;
}

#[tokio::test]
async fn released_job_returns_to_the_queue_at_once() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let job = person.job().await;
    let node = server.node();
    let lease = node.lease().await;
    assert_eq!(
        node.finish(&lease, json!({ "result": "released" })).await,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        person.read::<Job>(&job.urls.own).await.status,
        JobStatus::Queued
    );
    let again = node.lease().await;
    assert!(again.token > lease.token);
}

#[tokio::test]
async fn lease_waits_for_work_and_wakes_for_it() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let set = person.sealed_set("x").await;
    let spec = person.spec(&set).await;
    let node = server.node();
    let (response, _) = tokio::join!(node.ask(), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let job: Job = body(person.launch(&spec, "k").await, StatusCode::ACCEPTED).await;
        job
    });
    let start = Instant::now();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(node.ask().await.status(), StatusCode::NO_CONTENT);
    assert!(
        (5..=11).contains(&start.elapsed().as_secs()),
        "{:?}",
        start.elapsed()
    );
    let response = person.post("/v1/preflights", &spec).await;
    let preflight: shared::preflight::Preflight = body(response, StatusCode::OK).await;
    assert_eq!(preflight.nodes_online, 1);
}

#[tokio::test]
async fn results_that_are_not_there_or_not_sound_are_refused() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let job = person.job().await;
    let node = server.node();
    let lease = node.lease().await;
    node.beat(&lease, json!([])).await;
    let ghost = json!([{ "kind": "protected_unet", "name": "u", "sha256": "0".repeat(64), "size_bytes": 3 }]);
    assert_eq!(
        node.finish(&lease, succeeded(&ghost)).await,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(
        node.finish(&lease, succeeded(&json!([]))).await,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let mut flood = Vec::new();
    flood.resize(1001, json!({ "kind": "log", "line": "x" }));
    let beat = json!({ "token": lease.token, "running": true, "progress": flood });
    refused(node.post(&lease, "heartbeats", &beat).await, 422, "invalid").await;
    let status = person.read::<Job>(&job.urls.own).await.status;
    assert_eq!(
        status,
        JobStatus::Running,
        "a refused result changes nothing"
    );
    protect(&node, &lease).await;
    let lease = node.lease().await;
    node.beat(&lease, json!([])).await;
    let mut huge = report();
    huge["report"]["verdict"] = json!("x".repeat(5 * 1024 * 1024));
    for bad in [b"{".to_vec(), b"{}".to_vec(), huge.to_string().into_bytes()] {
        let outputs = evaluation_outputs(&node, &lease, &bad).await;
        assert_eq!(
            node.finish(&lease, succeeded(&outputs)).await,
            StatusCode::UNPROCESSABLE_ENTITY
        );
    }
    let mut outputs = evaluation_outputs(&node, &lease, report().to_string().as_bytes()).await;
    outputs[1]["name"] = json!("../escape.png");
    assert_eq!(
        node.finish(&lease, succeeded(&outputs)).await,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let mut outputs = evaluation_outputs(&node, &lease, report().to_string().as_bytes()).await;
    outputs.as_array_mut().unwrap().remove(1);
    let status = node.finish(&lease, succeeded(&outputs)).await;
    assert_eq!(
        status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "the report names an image that is missing"
    );
}

#[tokio::test]
async fn finishing_twice_differently_is_fenced() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let job = person.job().await;
    let node = server.node();
    let lease = node.lease().await;
    node.beat(&lease, json!([])).await;
    protect(&node, &lease).await;
    assert_eq!(
        node.finish(&lease, json!({ "result": "canceled" })).await,
        StatusCode::CONFLICT
    );
    assert_eq!(
        person.read::<Job>(&job.urls.own).await.status,
        JobStatus::Succeeded
    );
}
