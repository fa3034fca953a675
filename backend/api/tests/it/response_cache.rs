//! Answers that are kept hold as long as nothing was written, and for whom they were given alone.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::{page::Page, protected_set::ProtectedSet};

use crate::support::{Server, body, refused};

#[tokio::test]
async fn whoever_was_told_that_a_change_is_done_reads_it() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    for count in 0..20 {
        let page: Page<ProtectedSet> = ada.read("/v1/protected-sets?limit=50").await;
        assert_eq!(page.data.len(), count);
        let again: Page<ProtectedSet> = ada.read("/v1/protected-sets?limit=50").await;
        assert_eq!(again, page);
        ada.set(&format!("set {count}")).await;
    }
}

#[tokio::test]
async fn readers_beside_a_writer_never_go_back() {
    let server = Server::start_with(|config| config.requests_per_minute = 1_000_000).await;
    let ada = server.person("ada").await;
    ada.set("first").await;
    let done = AtomicBool::new(false);
    let written = AtomicU64::new(1);
    let write = async {
        for number in 0..60 {
            ada.set(&number.to_string()).await;
            written.fetch_add(1, Ordering::SeqCst);
        }
        done.store(true, Ordering::SeqCst);
    };
    let read = async || {
        let mut reads = 0;
        while !done.load(Ordering::SeqCst) {
            let before = written.load(Ordering::SeqCst);
            let page: Value = ada.read("/v1/protected-sets?limit=100").await;
            let found = page["data"].as_array().expect("a list").len() as u64;
            assert!(found >= before.min(100), "{found} of {before}");
            reads += 1;
        }
        reads
    };
    let ((), one, two, three) = tokio::join!(write, read(), read(), read());
    assert!(one > 0 && two > 0 && three > 0);
}

#[tokio::test]
async fn answer_is_for_the_one_who_asked() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let eve = server.person("eve").await;
    let set = ada.set("Ada's").await;
    let path = format!("/v1/protected-sets/{}", set.id);
    assert_eq!(ada.read::<ProtectedSet>(&path).await, set);
    refused(eve.get(&path).await, 404, "not_found").await;
    refused(server.stranger().get(&path).await, 401, "unauthenticated").await;
    let wrong = server
        .stranger()
        .request(Method::GET, &path)
        .bearer_auth("not a token");
    refused(wrong.send().await.unwrap(), 401, "unauthenticated").await;
    assert_eq!(ada.read::<ProtectedSet>(&path).await, set);
    let other = ada
        .request(Method::GET, &path)
        .header("organisation", format!("org_{:032x}", 7));
    refused(other.send().await.unwrap(), 404, "not_found").await;
}

#[tokio::test]
async fn end_of_a_session_ends_its_answers() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    for _ in 0..3 {
        assert_eq!(ada.get("/v1/me").await.status(), StatusCode::OK);
    }
    let gone = ada.delete("/v1/sessions/current").await;
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    refused(ada.get("/v1/me").await, 401, "unauthenticated").await;
}

#[tokio::test]
async fn removed_key_opens_nothing_that_it_opened() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let wanted = json!({ "name": "reader", "scopes": ["sets:read"] });
    let made: Value = body(ada.post("/v1/api-keys", &wanted).await, StatusCode::CREATED).await;
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    let ask = async || {
        let stranger = server.stranger();
        let request = stranger.request(Method::GET, "/v1/protected-sets");
        request.bearer_auth(&secret).send().await.unwrap()
    };
    for _ in 0..3 {
        assert_eq!(ask().await.status(), StatusCode::OK);
    }
    let id = made["api_key"]["id"].as_str().expect("an id");
    let path = format!("/v1/api-keys/{id}");
    let gone = ada.delete(&path).await;
    assert!(gone.status().is_success(), "{}", gone.status());
    refused(ask().await, 401, "unauthenticated").await;
}

#[tokio::test]
async fn kept_answer_is_counted_and_may_be_known_already() {
    let server = Server::start_with(|config| config.requests_per_minute = 20).await;
    let ada = server.person("ada").await;
    let first = ada.get("/v1/quotas").await;
    let tag = first.headers()["etag"].clone();
    let rest = |response: &reqwest::Response| {
        let text = response.headers()["ratelimit"].to_str().expect("text");
        text.split(';').nth(1).map(str::to_owned)
    };
    let second = ada.get("/v1/quotas").await;
    assert_eq!(second.headers()["etag"], tag);
    assert_ne!(rest(&first), rest(&second), "it takes room");
    assert_ne!(
        first.headers()["request-id"],
        second.headers()["request-id"]
    );
    for header in ["content-type", "cache-control", "x-content-type-options"] {
        assert_eq!(first.headers()[header], second.headers()[header]);
    }
    let known = ada
        .request(Method::GET, "/v1/quotas")
        .header("if-none-match", &tag);
    let known = known.send().await.unwrap();
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(rest(&known), rest(&second), "it costs nothing");
    assert!(known.bytes().await.unwrap().is_empty());
    let mut last = StatusCode::OK;
    for _ in 0..20 {
        last = ada.get("/v1/quotas").await.status();
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn time_ends_an_answer() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    assert_eq!(ada.get("/v1/me").await.status(), StatusCode::OK);
    server.clock.advance(400 * 24 * 3600 * 1000);
    refused(ada.get("/v1/me").await, 401, "unauthenticated").await;
}
