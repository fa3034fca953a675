//! Event streams: replay, follow, resume, end.

use std::time::Duration;

use futures::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::{job::Job, page::Page, progress::JobEvent};

use crate::{
    keys::{holder, make},
    support::{Person, Server, refused},
};

/// The frames of an event stream until it ends.
async fn stream(response: reqwest::Response) -> Vec<(i64, JobEvent)> {
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = tokio::time::timeout(Duration::from_secs(20), response.text()).await;
    let text = text.expect("the stream ends").expect("a frame");
    let frames = text.split("\n\n").filter(|frame| !frame.trim().is_empty());
    frames
        .filter(|frame| !frame.starts_with(':'))
        .map(|frame| {
            let field = |name: &str| {
                frame
                    .lines()
                    .find_map(|line| line.strip_prefix(name))
                    .expect("a frame")
                    .trim()
                    .to_owned()
            };
            assert_eq!(field("event:"), "message");
            (
                field("id:").parse().expect("a frame"),
                serde_json::from_str(&field("data:")).expect("a frame"),
            )
        })
        .collect()
}

fn losses(step: u32) -> Value {
    json!({ "kind": "losses", "step": step, "backdoor": 0.5, "prior": 0.25, "retention": 0.125 })
}

/// Follows a job live while a scripted node works on it and fails.
async fn failing_job(server: &Server, person: &Person<'_>) -> (Job, Vec<(i64, JobEvent)>) {
    let job = person.job().await;
    let node = server.node();
    let lease = node.lease().await;
    node.beat(&lease, json!([losses(1), losses(2)])).await;
    let following = tokio::spawn(stream(person.get(&job.urls.events).await));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let step = json!({ "kind": "step", "phase": "Training", "step": 3, "total": 10 });
    let line = json!({ "kind": "log", "line": "hello" });
    node.beat(&lease, json!([step, line, losses(3)])).await;
    let failure = json!({ "code": "diverged", "cause": "The loss is not a number.",
        "evidence": "loss = NaN", "fix": "Lower the learning rate.", "retryable": false });
    let outcome = json!({ "result": "failed", "failure": failure });
    assert_eq!(node.finish(&lease, outcome).await, StatusCode::NO_CONTENT);
    let events = following.await.expect("no panic");
    (job, events)
}

#[tokio::test]
async fn event_stream_tells_everything_once_and_ends() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let (job, events) = failing_job(&server, &person).await;
    let sequences: Vec<i64> = events.iter().map(|(id, _)| *id).collect();
    let expected: Vec<i64> = (1..=i64::try_from(events.len()).unwrap()).collect();
    assert_eq!(sequences, expected, "nothing twice, nothing missing");
    let text = serde_json::to_string(&events).unwrap();
    for part in [
        "queued", "starting", "running", "failed", "hello", "Training",
    ] {
        assert!(text.contains(&format!("\"{part}\"")), "{part} in {text}");
    }
    assert_eq!(text.matches("backdoor").count(), 3);
    let failed: Job = person.read(&job.urls.own).await;
    assert_eq!(failed.error.unwrap().code, "diverged");
    let cancel = person.post(&job.urls.cancel, &json!({})).await;
    refused(cancel, 409, "conflict").await;
}

#[tokio::test]
async fn event_stream_resumes_where_the_client_left_off() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let (job, events) = failing_job(&server, &person).await;
    let middle = events.len() / 2;
    let request = person.request(Method::GET, &job.urls.events);
    let request = request.header("last-event-id", events[middle].0);
    let rest = stream(request.send().await.unwrap()).await;
    assert_eq!(rest, events[middle + 1..]);
    let last = events.len();
    let end = person
        .get(&format!("{}?after={last}", job.urls.events))
        .await;
    assert!(
        stream(end).await.is_empty(),
        "after the end there is nothing to wait for"
    );
    let path = format!("{}?format=json&limit=2&after=1", job.urls.events);
    let polled: Page<JobEvent> = person.read(&path).await;
    let sequences: Vec<i64> = polled.data.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, [2, 3]);
    assert!(polled.has_more);
    assert_eq!(polled.next_cursor.as_deref(), Some("3"));
    let nonsense = person.get(&format!("{}?after=x", job.urls.events)).await;
    refused(nonsense, 400, "malformed").await;
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

#[tokio::test]
async fn streams_of_one_caller_are_bounded() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let job = person.job().await;
    let mut open = Vec::new();
    for _ in 0..32 {
        let response = person.get(&job.urls.events).await;
        assert_eq!(response.status(), StatusCode::OK);
        open.push(response);
    }
    let response = person.get(&job.urls.events).await;
    assert!(response.headers().contains_key("retry-after"));
    let problem = refused(response, 429, "rate_limited").await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("32 event streams"), "{detail}");
    // Pages take no place, and others have their own.
    let page = person
        .get(&format!("{}?format=json", job.urls.events))
        .await;
    assert_eq!(page.status(), StatusCode::OK);
    let key = make(&person, &json!({ "name": "x", "scopes": ["jobs:run"] })).await;
    let key = holder(&server, &key.secret);
    assert_eq!(key.get(&job.urls.events).await.status(), StatusCode::OK);
    drop(open);
    for _ in 0..300 {
        if person.get(&job.urls.events).await.status() == StatusCode::OK {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no place was given back");
}

#[tokio::test]
async fn stream_ends_with_its_callers_access() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let job = person.job().await;
    let made = make(&person, &json!({ "name": "x", "scopes": ["jobs:run"] })).await;
    let key = holder(&server, &made.secret);
    let (revoked, kept) = (
        key.get(&job.urls.events).await,
        person.get(&job.urls.events).await,
    );
    let path = format!("/v1/api-keys/{}", made.api_key.id);
    let gone = person.delete(&path).await;
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    server.clock.advance(61_000);
    let canceled = person.post(&job.urls.cancel, &json!({})).await;
    assert_eq!(canceled.status(), StatusCode::ACCEPTED);
    let (revoked, kept) = tokio::join!(stream(revoked), stream(kept));
    let told = |events: &[(i64, JobEvent)]| serde_json::to_string(events).unwrap();
    assert!(told(&kept).contains("\"canceled\""), "{kept:?}");
    assert!(!told(&revoked).contains("\"canceled\""), "{revoked:?}");
    assert_eq!(revoked.len(), 1, "what was told before stays told");
    refused(key.get(&job.urls.events).await, 401, "unauthenticated").await;
}
