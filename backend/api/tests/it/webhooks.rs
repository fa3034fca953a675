//! Webhooks against a real HTTP receiver that answers well, badly, slowly, endlessly or not at all.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Response},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::{
    job::Job,
    page::Page,
    webhook::{Delivery, DeliveryStatus, Webhook, WebhookStatus, WebhookWithSecret},
};
use tokio::net::TcpListener;

use crate::{
    scripted::protect,
    support::{Person, Server, body, refused},
};

/// What the receiver got, and what it answers next: 204 when nothing is planned.
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    plan: Arc<Mutex<VecDeque<Answer>>>,
}

enum Answer {
    Status(u16, Option<&'static str>),
    Late,
    Endless,
    Redirect(String),
}

async fn answer(
    State(receiver): State<Receiver>,
    headers: HeaderMap,
    text: Bytes,
) -> Response<Body> {
    let text = String::from_utf8(text.to_vec()).expect("JSON is text");
    receiver
        .got
        .lock()
        .expect("held shortly")
        .push((headers, text));
    let planned = receiver.plan.lock().expect("held shortly").pop_front();
    let response = Response::builder();
    match planned {
        None => response.status(204).body(Body::empty()),
        Some(Answer::Status(status, wait)) => {
            let response = response.status(status);
            let response = match wait {
                Some(wait) => response.header("retry-after", wait),
                None => response,
            };
            response.body(Body::empty())
        }
        Some(Answer::Late) => {
            tokio::time::sleep(Duration::from_secs(40)).await;
            response.status(204).body(Body::empty())
        }
        Some(Answer::Endless) => {
            let piece = || async { Some((Ok::<_, std::io::Error>(vec![b'x'; 1 << 16]), ())) };
            let body = futures::stream::unfold((), move |()| piece());
            response.status(200).body(Body::from_stream(body))
        }
        Some(Answer::Redirect(to)) => response
            .status(302)
            .header("location", to)
            .body(Body::empty()),
    }
    .expect("valid")
}

impl Receiver {
    async fn start() -> (Self, SocketAddr) {
        let receiver = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let router = Router::new().fallback(answer).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (receiver, address)
    }

    fn plan(&self, answers: impl IntoIterator<Item = Answer>) {
        self.plan.lock().expect("held shortly").extend(answers);
    }

    fn count(&self) -> usize {
        self.got.lock().expect("held shortly").len()
    }

    fn got(&self, at: usize) -> (HeaderMap, String) {
        self.got.lock().expect("held shortly")[at].clone()
    }
}

async fn hook(person: &Person<'_>, address: SocketAddr, events: Value) -> WebhookWithSecret {
    let request = json!({ "url": format!("http://{address}/hook"), "events": events });
    body(
        person.post("/v1/webhooks", &request).await,
        StatusCode::CREATED,
    )
    .await
}

fn path(hook: &WebhookWithSecret, rest: &str) -> String {
    format!("/v1/webhooks/{}{rest}", hook.webhook.id)
}

/// The delivery, once `ready` says so.
async fn wait(person: &Person<'_>, path: &str, ready: impl Fn(&Delivery) -> bool) -> Delivery {
    for _ in 0..600 {
        let delivery: Delivery = person.read(path).await;
        if ready(&delivery) {
            return delivery;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{path} did not get ready");
}

async fn send_test(person: &Person<'_>, hook: &WebhookWithSecret) -> String {
    let sent = person.post(&path(hook, "/test"), &json!({})).await;
    let place = sent.headers()["location"]
        .to_str()
        .expect("text")
        .to_owned();
    assert_eq!(sent.status(), StatusCode::ACCEPTED);
    place
}

fn verified(secret: &str, (headers, text): &(HeaderMap, String)) -> bool {
    let verifier = standardwebhooks::Webhook::new(secret).expect("a secret");
    verifier.verify(text.as_bytes(), headers).is_ok()
}

#[tokio::test]
async fn job_that_ends_is_told_signed_and_in_few_words() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let (receiver, address) = Receiver::start().await;
    let (other, elsewhere) = Receiver::start().await;
    let made = hook(&person, address, json!(["job.succeeded"])).await;
    hook(&person, elsewhere, json!(["job.failed"])).await;
    let eve = server.person("eve").await;
    hook(&eve, elsewhere, json!([])).await;
    let job = person.job().await;
    let node = server.node();
    protect(&node, &node.lease().await).await;
    let log: Page<Delivery> = person.read(&path(&made, "/deliveries")).await;
    let place = path(&made, &format!("/deliveries/{}", log.data[0].id));
    let ended = |delivery: &Delivery| delivery.status != DeliveryStatus::Pending;
    let delivery = wait(&person, &place, ended).await;
    assert_eq!(delivery.status, DeliveryStatus::Succeeded);
    assert_eq!(delivery.attempts[0].response_status, Some(204));
    let got = receiver.got(0);
    assert!(verified(&made.secret, &got));
    assert_eq!(got.0["webhook-id"], delivery.event_id.to_string());
    assert!(got.1.len() < 20_000);
    let told: Value = serde_json::from_str(&got.1).unwrap();
    assert_eq!(told["type"], "job.succeeded");
    assert_eq!(told["data"]["id"], job.id.to_string());
    let url = told["data"]["url"].as_str().unwrap();
    assert_eq!(person.read::<Job>(url).await.id, job.id);
    let forged = (got.0.clone(), got.1.replace("succeeded", "failed"));
    assert!(!verified(&made.secret, &forged));
    assert_eq!((receiver.count(), other.count()), (1, 0));
}

#[tokio::test]
async fn failures_are_repeated_and_overload_is_respected() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let (receiver, address) = Receiver::start().await;
    let made = hook(&person, address, json!([])).await;
    receiver.plan([Answer::Status(500, None), Answer::Status(429, Some("900"))]);
    let place = send_test(&person, &made).await;
    let tried = |count: usize| move |delivery: &Delivery| delivery.attempts.len() == count;
    let first = wait(&person, &place, tried(1)).await;
    assert_eq!(first.attempts[0].response_status, Some(500));
    let waits = |delivery: &Delivery, at: usize| {
        let next = delivery.next_attempt_at.expect("another attempt");
        (next.milliseconds() - delivery.attempts[at].at.milliseconds()) / 1000
    };
    assert!((5..=6).contains(&waits(&first, 0)), "{}", waits(&first, 0));
    server.clock.advance(6_000);
    let second = wait(&person, &place, tried(2)).await;
    assert!((900..=1000).contains(&waits(&second, 1)), "as it asked");
    // Nothing else goes to an overloaded receiver.
    let other = send_test(&person, &made).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(receiver.count(), 2);
    server.clock.advance(1_000_000);
    let ended = |delivery: &Delivery| delivery.status == DeliveryStatus::Succeeded;
    let done = wait(&person, &place, ended).await;
    wait(&person, &other, ended).await;
    assert_eq!(done.attempts.len(), 3);
    let ids: Vec<_> = (0..3)
        .map(|at| receiver.got(at).0["webhook-id"].clone())
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]) || receiver.count() == 4);
    let times: Vec<_> = [0, 1]
        .map(|at| receiver.got(at).0["webhook-timestamp"].clone())
        .into();
    assert_ne!(times[0], times[1], "each attempt has its own time");
}

#[tokio::test]
async fn receiver_that_is_gone_is_disabled_and_can_come_back() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let (receiver, address) = Receiver::start().await;
    let made = hook(&person, address, json!([])).await;
    receiver.plan([Answer::Status(410, None)]);
    let place = send_test(&person, &made).await;
    let ended = |delivery: &Delivery| delivery.status == DeliveryStatus::Failed;
    wait(&person, &place, ended).await;
    let response = person.get(&path(&made, "")).await;
    let etag = response.headers()["etag"].to_str().unwrap().to_owned();
    let disabled: Webhook = body(response, StatusCode::OK).await;
    assert_eq!(disabled.status, WebhookStatus::Disabled);
    assert!(disabled.status_reason.unwrap().contains("410"));
    person.sealed_set("x").await;
    let log: Page<Delivery> = person.read(&path(&made, "/deliveries")).await;
    assert_eq!(log.data.len(), 1, "nothing is told any more");
    let enable = json!({ "status": "enabled" });
    refused(
        person
            .request(Method::PATCH, &path(&made, ""))
            .json(&enable)
            .send()
            .await
            .unwrap(),
        428,
        "precondition_required",
    )
    .await;
    let change = |tag: &str| {
        let request = person.request(Method::PATCH, &path(&made, ""));
        request.header("if-match", tag).json(&enable).send()
    };
    refused(change("\"old\"").await.unwrap(), 412, "precondition_failed").await;
    let enabled: Webhook = body(change(&etag).await.unwrap(), StatusCode::OK).await;
    assert_eq!(enabled.status, WebhookStatus::Enabled);
    refused(change(&etag).await.unwrap(), 412, "precondition_failed").await;
    // A replay carries the same event.
    let replay = person.post(&format!("{place}/replay"), &json!({})).await;
    let again: Delivery = body(replay, StatusCode::ACCEPTED).await;
    let place = path(&made, &format!("/deliveries/{}", again.id));
    let ended = |delivery: &Delivery| delivery.status == DeliveryStatus::Succeeded;
    wait(&person, &place, ended).await;
    assert_eq!(
        receiver.got(0).0["webhook-id"],
        receiver.got(1).0["webhook-id"]
    );
    assert_eq!(receiver.got(0).1, receiver.got(1).1);
}

#[tokio::test]
async fn rotated_secret_overlaps_with_the_one_before() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let (receiver, address) = Receiver::start().await;
    let made = hook(&person, address, json!([])).await;
    let rotated = person.post(&path(&made, "/secret"), &json!({})).await;
    assert_eq!(rotated.headers()["cache-control"], "no-store");
    let rotated: WebhookWithSecret = body(rotated, StatusCode::CREATED).await;
    assert_ne!(rotated.secret, made.secret);
    let ended = |delivery: &Delivery| delivery.status == DeliveryStatus::Succeeded;
    wait(&person, &send_test(&person, &made).await, ended).await;
    assert!(
        verified(&made.secret, &receiver.got(0)) && verified(&rotated.secret, &receiver.got(0))
    );
    server.clock.advance(25 * 3_600_000);
    wait(&person, &send_test(&person, &made).await, ended).await;
    let (mut headers, text) = receiver.got(1);
    let signatures = headers["webhook-signature"].to_str().unwrap();
    assert_eq!(signatures.split(' ').count(), 1);
    // The receiver's own clock did not move.
    let now = server.app.now().milliseconds() / 1000 - 25 * 3600;
    headers.insert("webhook-timestamp", now.into());
    assert!(!verified(&made.secret, &(headers, text)));
    for place in ["", "/deliveries"] {
        let shown = person.get(&path(&made, place)).await.text().await.unwrap();
        assert!(!shown.contains("whsec_"), "a secret is shown once");
    }
}

#[tokio::test]
async fn redirects_endless_answers_and_closed_ports_do_no_harm() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let (receiver, address) = Receiver::start().await;
    let (inner, hidden) = Receiver::start().await;
    let made = hook(&person, address, json!([])).await;
    receiver.plan([
        Answer::Redirect(format!("http://{hidden}/secret")),
        // The first is tried again, on a slow machine before the second is sent.
        Answer::Endless,
        Answer::Endless,
    ]);
    let tried = |delivery: &Delivery| !delivery.attempts.is_empty();
    let first = wait(&person, &send_test(&person, &made).await, tried).await;
    assert_eq!(first.attempts[0].response_status, Some(302));
    assert!(
        first.attempts[0]
            .error
            .as_ref()
            .unwrap()
            .contains("Redirects")
    );
    assert_eq!(inner.count(), 0, "it was not followed");
    let second = wait(&person, &send_test(&person, &made).await, tried).await;
    assert_eq!(
        second.status,
        DeliveryStatus::Succeeded,
        "its body is not read"
    );
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = closed.local_addr().unwrap();
    drop(closed);
    let lost = hook(&person, nobody, json!([])).await;
    let third = wait(&person, &send_test(&person, &lost).await, tried).await;
    assert_eq!(third.attempts[0].response_status, None);
    assert_eq!(
        third.attempts[0].error.as_deref(),
        Some("No connection could be made.")
    );
}

#[tokio::test]
async fn slow_receiver_is_given_up_and_delays_nobody() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let (slow, address) = Receiver::start().await;
    slow.plan((0..8).map(|_| Answer::Late));
    let late = hook(&person, address, json!([])).await;
    let mut places = Vec::new();
    for _ in 0..8 {
        places.push(send_test(&person, &late).await);
    }
    let (_, address) = Receiver::start().await;
    let quick = hook(&person, address, json!([])).await;
    let ended = |delivery: &Delivery| delivery.status == DeliveryStatus::Succeeded;
    let start = std::time::Instant::now();
    wait(&person, &send_test(&person, &quick).await, ended).await;
    assert!(start.elapsed() < Duration::from_secs(10));
    let tried = |delivery: &Delivery| !delivery.attempts.is_empty();
    let given_up = wait(&person, &places[0], tried).await;
    assert_eq!(
        given_up.attempts[0].error.as_deref(),
        Some("No answer came in time.")
    );
    assert!((15_000..30_000).contains(&given_up.attempts[0].milliseconds));
}

#[tokio::test]
async fn addresses_that_nobody_may_call_are_refused() {
    let server = Server::start_with(|config| config.webhook_loopback = false).await;
    let person = server.person("ada").await;
    let (receiver, address) = Receiver::start().await;
    for url in [
        format!("http://{address}/"),
        format!("https://{address}/"),
        "https://169.254.169.254/latest/meta-data".into(),
        "https://[::ffff:169.254.169.254]/".into(),
        "https://localhost:5432/".into(),
        "https://user:secret@example.org/".into(),
        "no address".into(),
    ] {
        let response = person.post("/v1/webhooks", &json!({ "url": url })).await;
        let problem = refused(response, 422, "invalid").await;
        assert_eq!(problem["errors"][0]["pointer"], "#/url", "{url}");
    }
    let unknown = json!({ "url": "https://example.org/", "secret": "mine" });
    refused(person.post("/v1/webhooks", &unknown).await, 422, "invalid").await;
    // A name that leads inside is found out when it is resolved, however it was stored.
    let inside = api::app::webhooks::addresses::pin("https://localhost/", false).await;
    assert!(inside.is_err());
    assert_eq!(receiver.count(), 0);
}

#[tokio::test]
async fn webhooks_are_their_owners_and_few() {
    let server = Server::start().await;
    let (ada, eve) = (server.person("ada").await, server.person("eve").await);
    let (_, address) = Receiver::start().await;
    let made = hook(&ada, address, json!([])).await;
    let place = send_test(&ada, &made).await;
    for path in [path(&made, ""), path(&made, "/deliveries"), place.clone()] {
        refused(eve.get(&path).await, 404, "not_found").await;
        refused(server.stranger().get(&path).await, 401, "unauthenticated").await;
    }
    for path in [
        path(&made, "/secret"),
        path(&made, "/test"),
        format!("{place}/replay"),
    ] {
        refused(eve.post(&path, &json!({})).await, 404, "not_found").await;
    }
    let gone = eve.request(Method::DELETE, &path(&made, ""));
    let gone = gone.header("if-match", "*").send().await.unwrap();
    refused(gone, 404, "not_found").await;
    for _ in 1..20 {
        hook(&ada, address, json!([])).await;
    }
    let request = json!({ "url": format!("http://{address}/") });
    refused(ada.post("/v1/webhooks", &request).await, 409, "conflict").await;
    let page: Page<Webhook> = ada.read("/v1/webhooks?limit=15").await;
    assert!(page.has_more && page.data.len() == 15);
    let gone = ada.request(Method::DELETE, &path(&made, ""));
    let gone = gone.header("if-match", "*").send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    refused(ada.get(&place).await, 404, "not_found").await;
}
