//! Against a socket that answers what a test tells it to.

use shared::job::{JobKind, JobSpec};
use uuid::Uuid;

use super::*;
use crate::{config::Token, testing::Server};

const CONTINUE: &[u8] = br#"{"command":"continue","lease_seconds":30}"#;
const CANCEL: &[u8] = br#"{"command":"cancel","lease_seconds":30}"#;
const FENCED: &[u8] = br#"{"type":"x","title":"x","status":409,"detail":"x","instance":"x",
    "code":"fenced","request_id":"x","retryable":false}"#;

fn lease(lease_seconds: u64) -> Lease {
    Lease {
        job_id: JobId::from_uuid(Uuid::nil()),
        kind: JobKind::Protect,
        token: 1,
        lease_seconds,
        attempt: 1,
        required_memory_bytes: None,
        spec: JobSpec {
            base_model_id: shared::ModelId::from_uuid(Uuid::nil()),
            concepts: Vec::new(),
            extends: None,
            injection: shared::job::Injection::default(),
            evaluation: shared::job::Evaluation::default(),
            seed: 0,
        },
        inputs: Vec::new(),
        traceparent: None,
    }
}

async fn order(client: &Client, lease_seconds: u64) -> Order {
    let (orders, mut listener) = watch::channel(Order::Continue);
    let _heart = Heart::start(client, &lease(lease_seconds), orders);
    let wait = tokio::time::timeout(Duration::from_secs(20), interruption(&mut listener));
    wait.await.expect("an order comes")
}

#[tokio::test]
async fn a_cancel_reaches_the_attempt() {
    let server = Server::answering(vec![(200, CONTINUE), (200, CANCEL)]).await;
    assert_eq!(order(&server.client, 3).await, Order::Cancel);
}

#[tokio::test]
async fn a_stale_token_ends_the_attempt() {
    let server = Server::answering(vec![(409, FENCED)]).await;
    assert_eq!(order(&server.client, 3).await, Order::Fenced);
}

#[tokio::test]
async fn a_silent_server_ends_the_attempt_when_the_lease_is_over() {
    let closed = Client::new("http://127.0.0.1:1", Token::new("secret")).unwrap();
    let start = Instant::now();
    assert_eq!(order(&closed, 1).await, Order::Fenced);
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_lost_beat_loses_no_report() {
    let server = Server::answering(vec![(200, CONTINUE), (503, b""), (200, CONTINUE)]).await;
    let (orders, _listener) = watch::channel(Order::Continue);
    let heart = Heart::start(&server.client, &lease(30), orders);
    tokio::time::sleep(Duration::from_millis(100)).await;
    for line in ["first", "second"] {
        heart.report(Progress::Log {
            line: line.to_owned(),
        });
    }
    for _ in 0..100 {
        let reports = server
            .bodies()
            .iter()
            .filter(|body| body.contains("first"))
            .count();
        if reports == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let bodies = server.bodies();
    let reported: Vec<_> = bodies
        .iter()
        .filter(|body| body.contains("second"))
        .collect();
    assert_eq!(reported.len(), 2, "{bodies:?}");
    assert!(reported[1].find("first") < reported[1].find("second"));
}

#[test]
fn fenced_outranks_cancel_and_nothing_takes_an_order_back() {
    let (orders, listener) = watch::channel(Order::Continue);
    for (given, stands) in [
        (Order::Cancel, Order::Cancel),
        (Order::Leave, Order::Cancel),
        (Order::Fenced, Order::Fenced),
        (Order::Cancel, Order::Fenced),
    ] {
        give(&orders, given);
        assert_eq!(*listener.borrow(), stands);
    }
}
