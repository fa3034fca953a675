//! Jobs: preflight, launch, idempotency, events, cancel, retry.

use std::time::Duration;

use futures::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::json;
use shared::{
    job::{Job, JobStatus},
    page::Page,
    preflight::{CheckStatus, Preflight},
    progress::JobEvent,
};

use crate::support::{Server, body, refused};

fn status_of(preflight: &Preflight, code: &str) -> CheckStatus {
    let check = preflight.checks.iter().find(|check| check.code == code);
    check
        .unwrap_or_else(|| panic!("no check `{code}`: {preflight:?}"))
        .status
}

#[tokio::test]
async fn preflight_tells_everything_before_the_launch() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let set = person.sealed_set("x").await;
    let spec = person.spec(&set).await;
    let response = person.post("/v1/preflights", &spec).await;
    let good: Preflight = body(response, StatusCode::OK).await;
    assert!(good.ready, "{good:?}");
    assert_eq!(status_of(&good, "rights_declared"), CheckStatus::Pass);
    assert_eq!(status_of(&good, "node_online"), CheckStatus::Warn);
    assert!(good.estimate_seconds.is_none(), "nothing was measured yet");
    assert!(good.checks.iter().any(|check| check.code == "scope"));
    assert!(
        good.summary.contains("dog") && good.summary.contains("apple"),
        "{}",
        good.summary
    );
    let mut bad = spec.clone();
    bad["objective"]["target_class"] = json!("president");
    let response = person.post("/v1/preflights", &bad).await;
    let bad_target: Preflight = body(response, StatusCode::OK).await;
    assert!(!bad_target.ready);
    assert_eq!(status_of(&bad_target, "target_vetted"), CheckStatus::Fail);
    refused(person.launch(&bad, "k1").await, 422, "invalid").await;
    let mut unknown = spec.clone();
    unknown["class_name"] = json!("zebra");
    let response = person.post("/v1/preflights", &unknown).await;
    let unknown: Preflight = body(response, StatusCode::OK).await;
    assert_eq!(status_of(&unknown, "class_known"), CheckStatus::Warn);
    let draft = person.set("draft").await;
    let spec = person.spec(&draft).await;
    let response = person.post("/v1/preflights", &spec).await;
    let unsealed: Preflight = body(response, StatusCode::OK).await;
    assert_eq!(status_of(&unsealed, "rights_declared"), CheckStatus::Fail);
    refused(person.launch(&spec, "k2").await, 409, "conflict").await;
}

#[tokio::test]
async fn bad_specifications_are_refused_field_by_field() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let set = person.sealed_set("x").await;
    let spec = person.spec(&set).await;
    for (change, pointer) in [
        (json!({ "class_name": "thing" }), "#/class_name"),
        (json!({ "identifier": "dog" }), "#/identifier"),
        (json!({ "injection": { "steps": 0 } }), "#/injection/steps"),
        (
            json!({ "injection": { "steps": "x" } }),
            "#/injection/steps",
        ),
        (json!({ "injection": { "stepz": 1 } }), "#/injection/stepz"),
        (
            json!({ "evaluation": { "checkpoints": [5, 1] } }),
            "#/evaluation/checkpoints",
        ),
        (json!({ "seed": -1 }), "#/seed"),
        (json!({ "sudo": true }), "#/sudo"),
        (
            json!({ "base_model_id": format!("mdl_{:032x}", 1) }),
            "#/base_model_id",
        ),
        (
            json!({ "protected_set_id": format!("set_{:032x}", 1) }),
            "#/protected_set_id",
        ),
    ] {
        let mut bad = spec.clone();
        for (key, value) in change.as_object().unwrap() {
            bad[key] = value.clone();
        }
        for response in [
            person.launch(&bad, "k").await,
            person.post("/v1/preflights", &bad).await,
        ] {
            let problem = refused(response, 422, "invalid").await;
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        }
    }
}

#[tokio::test]
async fn repeated_launch_makes_one_job() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let set = person.sealed_set("x").await;
    let spec = person.spec(&set).await;
    refused(
        person.post("/v1/jobs", &spec).await,
        400,
        "idempotency_key_required",
    )
    .await;
    refused(
        person.launch(&spec, &"k".repeat(256)).await,
        400,
        "malformed",
    )
    .await;
    let response = person.launch(&spec, "key").await;
    assert!(!response.headers().contains_key("idempotency-replayed"));
    let place = response.headers()["location"].to_str().unwrap().to_owned();
    let first: Job = body(response, StatusCode::ACCEPTED).await;
    assert_eq!(place, format!("/v1/jobs/{}", first.id));
    assert_eq!(first.status, JobStatus::Queued);
    let response = person.launch(&spec, "\"key\"").await;
    assert_eq!(response.headers()["idempotency-replayed"], "true");
    assert_eq!(
        body::<Job>(response, StatusCode::ACCEPTED).await.id,
        first.id
    );
    let mut other = spec.clone();
    other["seed"] = json!(5);
    refused(
        person.launch(&other, "key").await,
        422,
        "idempotency_key_reused",
    )
    .await;
    // What was refused may be mended under the same key.
    let mut bad = spec.clone();
    bad["class_name"] = json!("thing");
    refused(person.launch(&bad, "second").await, 422, "invalid").await;
    assert_eq!(
        person.launch(&other, "second").await.status(),
        StatusCode::ACCEPTED
    );
    assert_eq!(person.read::<Page<Job>>("/v1/jobs").await.data.len(), 2);
    let eve = server.person("eve").await;
    let set = eve.sealed_set("y").await;
    let spec = eve.spec(&set).await;
    assert_eq!(
        eve.launch(&spec, "key").await.status(),
        StatusCode::ACCEPTED,
        "keys are per person"
    );
}

#[tokio::test]
async fn racing_launches_with_one_key_make_one_job() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let set = person.sealed_set("x").await;
    let spec = person.spec(&set).await;
    let launches = (0..8).map(|_| person.launch(&spec, "key"));
    let answers = futures::future::join_all(launches).await;
    for answer in answers {
        assert!(
            matches!(answer.status().as_u16(), 202 | 409),
            "{}",
            answer.status()
        );
    }
    assert_eq!(person.read::<Page<Job>>("/v1/jobs").await.data.len(), 1);
}

#[tokio::test]
async fn account_cannot_fill_the_queue() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let set = person.sealed_set("x").await;
    let spec = person.spec(&set).await;
    for index in 0..shared::limits::MAX_ACTIVE_JOBS {
        let response = person.launch(&spec, &index.to_string()).await;
        let job: Job = body(response, StatusCode::ACCEPTED).await;
        assert_eq!(job.queue_position, Some(u32::try_from(index).unwrap()));
    }
    refused(person.launch(&spec, "more").await, 409, "conflict").await;
}

#[tokio::test]
async fn queued_job_is_canceled_at_once_and_can_be_retried() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let job = person.job().await;
    refused(
        person
            .post(&format!("/v1/jobs/{}/retry", job.id), &json!({}))
            .await,
        409,
        "conflict",
    )
    .await;
    let cancel = job.urls.cancel.clone();
    for _ in 0..2 {
        let response = person.request(Method::POST, &cancel).send().await.unwrap();
        let canceled: Job = body(response, StatusCode::ACCEPTED).await;
        assert_eq!(canceled.status, JobStatus::Canceled);
        assert!(canceled.completed_at.is_some());
    }
    let response = person
        .post(&format!("/v1/jobs/{}/retry", job.id), &json!({}))
        .await;
    let place = response.headers()["location"].to_str().unwrap().to_owned();
    let again: Job = body(response, StatusCode::ACCEPTED).await;
    assert_ne!(again.id, job.id);
    assert_eq!(place, format!("/v1/jobs/{}", again.id));
    assert_eq!((again.status, again.spec), (JobStatus::Queued, job.spec));
}

/// The frames of an event stream until it ends.
async fn stream(response: reqwest::Response) -> Vec<(i64, JobEvent)> {
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = tokio::time::timeout(Duration::from_secs(20), response.text()).await;
    let text = text.expect("the stream ends").unwrap();
    let frames = text.split("\n\n").filter(|frame| !frame.trim().is_empty());
    frames
        .filter(|frame| !frame.starts_with(':'))
        .map(|frame| {
            let field = |name: &str| {
                frame
                    .lines()
                    .find_map(|line| line.strip_prefix(name))
                    .unwrap()
                    .trim()
                    .to_owned()
            };
            assert_eq!(field("event:"), "message");
            (
                field("id:").parse().unwrap(),
                serde_json::from_str(&field("data:")).unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn event_stream_replays_follows_resumes_and_ends() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let job = person.job().await;
    let node = server.node();
    let lease = node.lease().await;
    let losses = |step: u32| json!({ "kind": "losses", "step": step, "backdoor": 0.5, "prior": 0.25, "retention": 0.125 });
    node.beat(&lease, json!([losses(1), losses(2)])).await;
    let live = person.get(&job.urls.events).await;
    let following = tokio::spawn(stream(live));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let step = json!({ "kind": "step", "phase": "Training", "step": 3, "total": 10 });
    node.beat(
        &lease,
        json!([step, { "kind": "log", "line": "hello" }, losses(3)]),
    )
    .await;
    let failure = json!({ "code": "diverged", "cause": "The loss is not a number.",
        "evidence": "loss = NaN", "fix": "Lower the learning rate.", "retryable": false });
    let status = node
        .finish(&lease, json!({ "result": "failed", "failure": failure }))
        .await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let events = following.await.unwrap();
    let sequences: Vec<i64> = events.iter().map(|(id, _)| *id).collect();
    let expected: Vec<i64> = (1..=i64::try_from(events.len()).unwrap()).collect();
    assert_eq!(sequences, expected, "nothing twice, nothing missing");
    let text = serde_json::to_string(&events).unwrap();
    for part in [
        "\"queued\"",
        "\"starting\"",
        "\"running\"",
        "\"failed\"",
        "hello",
        "Training",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(text.matches("backdoor").count(), 3);
    let middle = sequences[sequences.len() / 2];
    let request = person.request(Method::GET, &job.urls.events);
    let rest = stream(
        request
            .header("last-event-id", middle)
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(rest, events[events.len() / 2 + 1..]);
    let last = sequences.last().unwrap();
    let end = stream(
        person
            .get(&format!("{}?after={last}", job.urls.events))
            .await,
    )
    .await;
    assert!(end.is_empty());
    let polled: Page<JobEvent> = person
        .read(&format!("{}?format=json&limit=2&after=1", job.urls.events))
        .await;
    assert_eq!(
        polled
            .data
            .iter()
            .map(|event| event.sequence)
            .collect::<Vec<_>>(),
        [2, 3]
    );
    assert!(polled.has_more);
    assert_eq!(polled.next_cursor.as_deref(), Some("3"));
    refused(
        person.get(&format!("{}?after=x", job.urls.events)).await,
        400,
        "malformed",
    )
    .await;
    let failed: Job = person.read(&job.urls.own).await;
    assert_eq!(failed.error.unwrap().code, "diverged");
    refused(
        person.post(&job.urls.cancel, &json!({})).await,
        409,
        "conflict",
    )
    .await;
}

#[tokio::test]
async fn quiet_stream_beats_within_ten_seconds() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let job = person.job().await;
    let mut stream = person.get(&job.urls.events).await.bytes_stream();
    let beat = async {
        while let Some(chunk) = stream.next().await {
            if chunk.unwrap().starts_with(b":") {
                return;
            }
        }
        panic!("the stream ended");
    };
    tokio::time::timeout(Duration::from_secs(10), beat)
        .await
        .expect("a heartbeat comment");
    // Stopping the server ends the stream.
    server.app.stop().cancel();
    let end = async { while let Some(Ok(_)) = stream.next().await {} };
    tokio::time::timeout(Duration::from_secs(5), end)
        .await
        .expect("the stream ends");
}
