//! The node protocol, spoken by a scripted node.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::json;
use shared::{
    job::{Job, JobStatus},
    node::{InputRole, NodeCommand},
};

use crate::{
    scripted::{evaluation_outputs, protect, report, succeeded},
    support::{Server, body, refused},
};

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
