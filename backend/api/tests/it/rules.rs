//! Rules of every route: entity tags, links to the next page, rate limits, idempotency, merge patches.

use reqwest::{Method, Response, StatusCode};
use serde_json::json;
use shared::{auth::User, page::Page, protected_set::ProtectedSet};

use crate::support::{Server, body, refused};

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    let value = response.headers().get(name);
    value
        .unwrap_or_else(|| panic!("no {name}"))
        .to_str()
        .expect("text")
}

/// What is left of the bucket `default`.
fn rest(response: &Response) -> u64 {
    let text = header(response, "ratelimit");
    let rest = text
        .strip_prefix("\"default\";r=")
        .expect("the general bucket");
    rest.split(';')
        .next()
        .expect("a number")
        .parse()
        .expect("a number")
}

#[tokio::test]
async fn representation_has_a_strong_tag_that_saves_sending_it_again() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let set = ada.set("x").await;
    let path = format!("/v1/protected-sets/{}", set.id);
    let first = ada.get(&path).await;
    let tag = header(&first, "etag").to_owned();
    assert!(tag.starts_with('"') && tag.len() == 34, "{tag}");
    assert_eq!(header(&first, "cache-control"), "private, no-cache");
    let session = json!({ "email": "ada@example.org", "password": "correct horse battery" });
    let other = server.stranger();
    other.post("/v1/sessions", &session).await;
    assert_eq!(header(&other.get(&path).await, "etag"), tag, "whoever asks");
    let left = rest(&ada.get("/v1/me").await);
    let again = ada
        .request(Method::GET, &path)
        .header("if-none-match", &tag);
    let again = again.send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(header(&again, "etag"), tag);
    assert!(rest(&again) >= left, "unchanged costs nothing");
    assert_eq!(again.text().await.unwrap(), "");
    let weak = ada
        .request(Method::GET, &path)
        .header("if-none-match", format!("\"x\", {tag}"));
    assert_eq!(
        weak.send().await.unwrap().status(),
        StatusCode::NOT_MODIFIED
    );
    let other = ada
        .request(Method::GET, &path)
        .header("if-none-match", "\"x\"");
    assert_eq!(other.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn page_links_to_the_next_one() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    for number in 0..5 {
        ada.set(&number.to_string()).await;
    }
    let mut path = "/v1/protected-sets?limit=2".to_owned();
    let mut names = Vec::new();
    loop {
        let response = ada.get(&path).await;
        let link = response.headers().get("link").cloned();
        let page: Page<ProtectedSet> = body(response, StatusCode::OK).await;
        names.extend(page.data.into_iter().map(|set| set.name));
        assert_eq!(link.is_some(), page.has_more);
        let Some(link) = link else { break };
        let link = link.to_str().unwrap();
        let place = link.strip_suffix(">; rel=\"next\"").expect("the next page");
        path = place.strip_prefix('<').expect("an address").to_owned();
        assert!(path.contains("limit=2"), "{path}");
    }
    assert_eq!(names, ["4", "3", "2", "1", "0"]);
}

#[tokio::test]
async fn every_answer_tells_the_rest_and_the_last_one_when_to_come_back() {
    let server = Server::start_with(|config| config.requests_per_minute = 10).await;
    let ada = server.person("ada").await;
    let response = ada.get("/v1/me").await;
    assert_eq!(
        header(&response, "ratelimit-policy"),
        "\"default\";q=10;w=60"
    );
    assert_eq!(rest(&response), 9);
    let refused_one = ada.get("/v1/nowhere").await;
    assert!(
        refused_one.headers().contains_key("ratelimit"),
        "refusals tell it too"
    );
    let announced = ada.post("/v1/uploads", &json!({})).await;
    let policy = header(&announced, "ratelimit-policy");
    assert_eq!(policy, "\"default\";q=10;w=60, \"uploads\";q=300;w=150");
    let mut last = None;
    for _ in 0..12 {
        let response = ada.get("/v1/me").await;
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            last = Some(response);
            break;
        }
    }
    let last = last.expect("the eleventh request is one too many");
    let wait: i64 = header(&last, "retry-after").parse().unwrap();
    assert!((1..=6).contains(&wait), "{wait}");
    assert_eq!(rest(&last), 0);
    refused(last, 429, "rate_limited").await;
    let eve = server.person("eve").await;
    assert_eq!(
        eve.get("/v1/me").await.status(),
        StatusCode::OK,
        "others have their own"
    );
    server.clock.advance(wait * 1000);
    assert_eq!(ada.get("/v1/me").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn client_behind_a_trusted_proxy_has_its_own_bucket() {
    let server = Server::start_with(|config| {
        config.requests_per_minute = 3;
        config.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a block")];
    })
    .await;
    let stranger = server.stranger();
    let ask = async |address: &str| {
        let request = stranger.request(Method::GET, "/v1/demo");
        let request = request.header("x-forwarded-for", address);
        request.send().await.expect("an answer").status()
    };
    for _ in 0..3 {
        assert_eq!(ask("198.51.100.1").await, StatusCode::OK);
    }
    assert_eq!(ask("198.51.100.1").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ask("198.51.100.2").await, StatusCode::OK);
}

#[tokio::test]
async fn any_post_may_be_repeated_under_a_key() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let create = async |name: &str, key: &str| {
        let request = ada
            .request(Method::POST, "/v1/protected-sets")
            .header("idempotency-key", key)
            .json(&json!({ "name": name }));
        request.send().await.expect("an answer")
    };
    let first = create("x", "one").await;
    let place = header(&first, "location").to_owned();
    let first: ProtectedSet = body(first, StatusCode::CREATED).await;
    let again = create("x", "one").await;
    assert_eq!(header(&again, "idempotency-replayed"), "true");
    assert_eq!(header(&again, "location"), place);
    assert_eq!(header(&again, "content-type"), "application/json");
    assert_eq!(
        body::<ProtectedSet>(again, StatusCode::CREATED).await,
        first
    );
    refused(create("y", "one").await, 422, "idempotency_key_reused").await;
    refused(create(" ", "two").await, 422, "invalid").await;
    assert_eq!(
        create("z", "two").await.status(),
        StatusCode::CREATED,
        "refusals free the key"
    );
    let page: Page<ProtectedSet> = ada.read("/v1/protected-sets").await;
    assert_eq!(page.data.len(), 2);
    let key = || {
        let request = ada
            .request(Method::POST, "/v1/api-keys")
            .header("idempotency-key", "secret")
            .json(&json!({ "name": "x", "scopes": ["sets:read"] }));
        request.send()
    };
    assert_eq!(key().await.unwrap().status(), StatusCode::CREATED);
    let problem = refused(key().await.unwrap(), 409, "conflict").await;
    assert!(
        problem["detail"].as_str().unwrap().contains("not kept"),
        "{problem}"
    );
    let listed = ada.get("/v1/api-keys").await.text().await.unwrap();
    assert_eq!(listed.matches("\"id\"").count(), 1);
}

#[tokio::test]
async fn merge_patch_changes_what_it_names() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let before: User = ada.read("/v1/me").await;
    let same: User = body(ada.patch("/v1/me", &json!({})).await, StatusCode::OK).await;
    assert_eq!(same, before);
    let renamed = ada.patch("/v1/me", &json!({ "name": " Ada L. " })).await;
    assert_eq!(body::<User>(renamed, StatusCode::OK).await.name, "Ada L.");
    for bad in [
        json!({ "name": null }),
        json!({ "name": "" }),
        json!({ "email": "x@y.z" }),
    ] {
        refused(ada.patch("/v1/me", &bad).await, 422, "invalid").await;
    }
    let plain = ada
        .request(Method::PATCH, "/v1/me")
        .header("content-type", "text/plain")
        .header("if-match", "*")
        .body("{}");
    refused(plain.send().await.unwrap(), 415, "unsupported_media_type").await;
    let without = ada.request(Method::PATCH, "/v1/me").json(&json!({}));
    refused(without.send().await.unwrap(), 428, "precondition_required").await;
}
