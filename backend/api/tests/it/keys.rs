//! API keys: scoped, bound to an organisation and to addresses, rotated, revoked.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::{
    api_key::{ApiKey, CreatedApiKey},
    auth::User,
    page::Page,
};

use crate::{
    organisations::{join, studio},
    support::{Person, Server, body, refused},
};

pub(crate) async fn make(person: &Person<'_>, request: &Value) -> CreatedApiKey {
    let response = person.post("/v1/api-keys", request).await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    body(response, StatusCode::CREATED).await
}

/// Somebody who has nothing but a secret.
pub(crate) fn holder<'a>(server: &'a Server, secret: &str) -> Person<'a> {
    let mut holder = server.stranger();
    holder.bearer = Some(secret.to_owned());
    holder
}

#[tokio::test]
async fn key_does_what_its_scopes_say_and_no_more() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let set = ada.set("x").await;
    let request = json!({ "name": "Reader", "scopes": ["sets:read"] });
    let made = make(&ada, &request).await;
    assert!(made.secret.starts_with("pg_live_") && made.secret.len() == 44);
    assert!(made.secret.starts_with(&made.api_key.hint));
    let days = made.api_key.expires_at.milliseconds() - made.api_key.created_at.milliseconds();
    assert_eq!(days, 90 * 24 * 3600 * 1000);
    let key = holder(&server, &made.secret);
    let path = format!("/v1/protected-sets/{}", set.id);
    assert_eq!(key.get(&path).await.status(), StatusCode::OK);
    let problem = refused(key.delete(&path).await, 403, "missing_scope").await;
    assert!(
        problem["detail"].as_str().unwrap().contains("sets:write"),
        "{problem}"
    );
    refused(key.get("/v1/jobs").await, 403, "missing_scope").await;
    refused(key.get("/v1/sessions").await, 403, "forbidden").await;
    assert_eq!(key.read::<User>("/v1/me").await.name, "ada");
    let listed = ada.get("/v1/api-keys").await.text().await.unwrap();
    assert!(!listed.contains(&made.secret[12..]), "shown once");
    let used: ApiKey = ada.read(&format!("/v1/api-keys/{}", made.api_key.id)).await;
    assert!(used.last_used_at.is_some());
    let mut mistyped = made.secret.clone();
    mistyped.pop();
    mistyped.push(if made.secret.ends_with('x') { 'y' } else { 'x' });
    for bad in [mistyped.as_str(), "pg_live_", "pg_live_x"] {
        refused(
            holder(&server, bad).get("/v1/me").await,
            401,
            "unauthenticated",
        )
        .await;
    }
    server.clock.advance(90 * 24 * 3600 * 1000);
    refused(key.get(&path).await, 401, "unauthenticated").await;
}

#[tokio::test]
async fn key_stays_in_its_organisation() {
    let server = Server::start().await;
    let mut ada = server.person("ada").await;
    let alone = ada.set("alone").await;
    let studio = studio(&mut ada).await;
    let set = ada.set("shared").await;
    let made = make(
        &ada,
        &json!({ "name": "x", "scopes": ["sets:read", "org:admin"] }),
    )
    .await;
    let mut key = holder(&server, &made.secret);
    assert_eq!(
        key.get(&format!("/v1/protected-sets/{}", set.id))
            .await
            .status(),
        StatusCode::OK
    );
    refused(
        key.get(&format!("/v1/protected-sets/{}", alone.id)).await,
        404,
        "not_found",
    )
    .await;
    let own = ada
        .read::<User>("/v1/me")
        .await
        .id
        .to_string()
        .replace("usr_", "org_");
    key.organisation = Some(own);
    refused(key.get("/v1/protected-sets").await, 404, "not_found").await;
    key.organisation = None;
    let more = json!({ "name": "more", "scopes": ["jobs:run"] });
    refused(key.post("/v1/api-keys", &more).await, 403, "missing_scope").await;
    let same = json!({ "name": "same", "scopes": ["sets:read"] });
    let _: CreatedApiKey = body(key.post("/v1/api-keys", &same).await, StatusCode::CREATED).await;
    let path = format!("/v1/organisations/{}", studio.id);
    assert_eq!(key.get(&path).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn key_works_from_allowed_addresses_alone() {
    let server = Server::start_with(|config| {
        config.trusted_proxies = vec!["127.0.0.1".parse().expect("a block")];
    })
    .await;
    let ada = server.person("ada").await;
    let request =
        json!({ "name": "x", "scopes": ["sets:read"], "allowed_addresses": ["198.51.100.0/24"] });
    let made = make(&ada, &request).await;
    let from = async |address: &str| {
        let key = holder(&server, &made.secret);
        let request = key
            .request(Method::GET, "/v1/protected-sets")
            .header("x-forwarded-for", address);
        request.send().await.expect("an answer")
    };
    assert_eq!(from("198.51.100.7").await.status(), StatusCode::OK);
    refused(from("203.0.113.1").await, 403, "forbidden").await;
    refused(from("198.51.100.7, 203.0.113.1").await, 403, "forbidden").await;
    let path = format!("/v1/api-keys/{}", made.api_key.id);
    let change = json!({ "allowed_addresses": ["203.0.113.1"] });
    let changed: ApiKey = body(ada.patch(&path, &change).await, StatusCode::OK).await;
    assert_eq!(
        (changed.allowed_addresses.len(), changed.name.as_str()),
        (1, "x")
    );
    assert_eq!(from("203.0.113.1").await.status(), StatusCode::OK);
    for bad in [
        json!(["x"]),
        json!(["1.2.3.4/99"]),
        json!(vec!["1.2.3.4"; 21]),
    ] {
        let change = json!({ "allowed_addresses": bad });
        refused(ada.patch(&path, &change).await, 422, "invalid").await;
    }
}

#[tokio::test]
async fn rotation_overlaps_and_revocation_is_at_once() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let first = make(&ada, &json!({ "name": "x", "scopes": ["sets:read"] })).await;
    let path = format!("/v1/api-keys/{}", first.api_key.id);
    let rotate = json!({ "overlap_hours": 2 });
    let second = ada.post(&format!("{path}/rotate"), &rotate).await;
    let second: CreatedApiKey = body(second, StatusCode::CREATED).await;
    let works = async |secret: &str| {
        let response = holder(&server, secret).get("/v1/protected-sets").await;
        response.status() == StatusCode::OK
    };
    assert!(works(&first.secret).await && works(&second.secret).await);
    server.clock.advance(2 * 3600 * 1000 + 1000);
    assert!(!works(&first.secret).await && works(&second.secret).await);
    let too_long = json!({ "overlap_hours": 169 });
    refused(
        ada.post(&format!("{path}/rotate"), &too_long).await,
        422,
        "invalid",
    )
    .await;
    assert_eq!(ada.delete(&path).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(ada.delete(&path).await.status(), StatusCode::NO_CONTENT);
    assert!(!works(&second.secret).await);
    let listed: Page<ApiKey> = ada.read("/v1/api-keys").await;
    assert!(listed.data[0].revoked_at.is_some(), "it stays in the list");
    refused(
        ada.post(&format!("{path}/rotate"), &rotate).await,
        409,
        "conflict",
    )
    .await;
    let eve = server.person("eve").await;
    refused(eve.get(&path).await, 404, "not_found").await;
    refused(eve.delete(&path).await, 404, "not_found").await;
}

#[tokio::test]
async fn rotation_gives_nobody_more_than_they_had() {
    let server = Server::start().await;
    let mut ada = server.person("ada").await;
    let studio = studio(&mut ada).await;
    let all = json!({ "name": "all", "scopes": ["sets:read", "models:download", "org:admin"] });
    let wide = make(&ada, &all).await;
    let rotate = format!("/v1/api-keys/{}/rotate", wide.api_key.id);
    let narrow = json!({ "name": "some", "scopes": ["sets:read", "org:admin"] });
    let narrow = make(&ada, &narrow).await;
    let key = holder(&server, &narrow.secret);
    let problem = refused(key.post(&rotate, &json!({})).await, 403, "missing_scope").await;
    let detail = problem["detail"].as_str().expect("text");
    assert!(detail.contains("models:download"), "{problem}");
    let own = format!("/v1/api-keys/{}/rotate", narrow.api_key.id);
    let _: CreatedApiKey = body(key.post(&own, &json!({})).await, StatusCode::CREATED).await;

    let boss = join(&server, &ada, &studio, "bob", "admin").await;
    refused(boss.post(&rotate, &json!({})).await, 403, "forbidden").await;
    let theirs = make(&boss, &all).await;
    let theirs = holder(&server, &theirs.secret);
    refused(theirs.post(&rotate, &json!({})).await, 403, "forbidden").await;
    let path = format!("/v1/api-keys/{}", wide.api_key.id);
    assert_eq!(boss.delete(&path).await.status(), StatusCode::NO_CONTENT);
}

/// Asks from an address that the server believes.
async fn from(address: &str, request: reqwest::RequestBuilder) -> reqwest::Response {
    let request = request.header("x-forwarded-for", address);
    request.send().await.expect("an answer")
}

#[tokio::test]
async fn key_gives_no_key_more_places_or_time_than_it_has() {
    const OFFICE: &str = "198.51.100.7";
    let server = Server::start_with(|config| {
        config.trusted_proxies = vec!["127.0.0.1".parse().expect("a block")];
    })
    .await;
    let ada = server.person("ada").await;
    let scopes = json!(["sets:read", "org:admin"]);
    let request = json!({ "name": "bound", "scopes": scopes, "expires_in_days": 7,
        "allowed_addresses": ["198.51.100.0/24"] });
    let parent = make(&ada, &request).await;
    let key = holder(&server, &parent.secret);
    let create = async |addresses: Value| {
        let child =
            json!({ "name": "child", "scopes": ["sets:read"], "allowed_addresses": addresses });
        from(
            OFFICE,
            key.request(Method::POST, "/v1/api-keys").json(&child),
        )
        .await
    };
    let child: CreatedApiKey = body(create(json!([])).await, StatusCode::CREATED).await;
    assert_eq!(child.api_key.allowed_addresses, ["198.51.100.0/24"]);
    assert_eq!(child.api_key.expires_at, parent.api_key.expires_at);
    let child: CreatedApiKey = body(create(json!([OFFICE])).await, StatusCode::CREATED).await;
    assert_eq!(child.api_key.allowed_addresses, [OFFICE]);
    let problem = refused(create(json!(["0.0.0.0/0"])).await, 403, "forbidden").await;
    let detail = problem["detail"].as_str().expect("text");
    assert!(detail.contains("198.51.100.0/24"), "{problem}");
    refused(
        create(json!([OFFICE, "203.0.113.1"])).await,
        403,
        "forbidden",
    )
    .await;

    let path = format!("/v1/api-keys/{}", parent.api_key.id);
    let change = async |change: Value| {
        let read = from(OFFICE, key.request(Method::GET, &path)).await;
        let request = key
            .request(Method::PATCH, &path)
            .header("content-type", "application/merge-patch+json")
            .header("if-match", &read.headers()["etag"])
            .body(change.to_string());
        from(OFFICE, request).await
    };
    for wider in [json!([]), json!(["198.51.0.0/16"])] {
        let answer = change(json!({ "allowed_addresses": wider })).await;
        refused(answer, 403, "forbidden").await;
    }
    let named = change(json!({ "name": "still bound" })).await;
    assert_eq!(named.status(), StatusCode::OK);
    let narrower = change(json!({ "allowed_addresses": ["198.51.100.0/25"] })).await;
    assert_eq!(narrower.status(), StatusCode::OK);

    // Others of the same maker: from everywhere, and for longer.
    for (name, days, addresses) in [("wide", 7, json!([])), ("long", 90, json!([OFFICE]))] {
        let other = json!({ "name": name, "scopes": scopes, "expires_in_days": days,
            "allowed_addresses": addresses });
        let other = make(&ada, &other).await;
        let rotate = format!("/v1/api-keys/{}/rotate", other.api_key.id);
        let rotate = key.request(Method::POST, &rotate).json(&json!({}));
        refused(from(OFFICE, rotate).await, 403, "forbidden").await;
    }
    let own = key.request(Method::POST, &format!("{path}/rotate"));
    let rotated = from(OFFICE, own.json(&json!({}))).await;
    assert_eq!(rotated.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn bad_keys_are_refused_field_by_field() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let good = json!({ "name": "x", "scopes": ["sets:read"] });
    for (change, pointer) in [
        (json!({ "name": " " }), "#/name"),
        (json!({ "scopes": [] }), "#/scopes"),
        (json!({ "scopes": ["all"] }), "#/scopes/0"),
        (json!({ "expires_in_days": 0 }), "#/expires_in_days"),
        (json!({ "expires_in_days": 366 }), "#/expires_in_days"),
        (
            json!({ "allowed_addresses": ["1.2.3.4", "x"] }),
            "#/allowed_addresses/1",
        ),
        (json!({ "secret": "mine" }), "#/secret"),
    ] {
        let mut bad = good.clone();
        for (name, value) in change.as_object().unwrap() {
            bad[name] = value.clone();
        }
        let problem = refused(ada.post("/v1/api-keys", &bad).await, 422, "invalid").await;
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    }
}
