//! Every failure is a problem document, whoever noticed it.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::{Server, refused};

#[tokio::test]
async fn framework_failures_are_problems_too() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    refused(person.get("/v1/nowhere").await, 404, "not_found").await;
    refused(person.get("/nowhere").await, 404, "not_found").await;
    let response = person
        .request(Method::PATCH, "/v1/protected-sets")
        .send()
        .await
        .unwrap();
    let allow = response.headers()["allow"].to_str().unwrap().to_owned();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
    refused(response, 405, "method_not_allowed").await;
    let request = person.request(Method::POST, "/v1/protected-sets");
    let response = request
        .header("content-type", "text/plain")
        .body("{}")
        .send()
        .await
        .unwrap();
    refused(response, 415, "unsupported_media_type").await;
    let request = person.request(Method::POST, "/v1/protected-sets");
    let response = request
        .header("content-type", "application/json")
        .body("{")
        .send()
        .await
        .unwrap();
    refused(response, 400, "malformed").await;
    let large = json!({ "name": "x".repeat(100_000) });
    refused(
        person.post("/v1/protected-sets", &large).await,
        413,
        "too_large",
    )
    .await;
    for query in ["limit=0", "limit=101"] {
        let response = person.get(&format!("/v1/protected-sets?{query}")).await;
        refused(response, 422, "invalid").await;
    }
    refused(person.get("/v1/jobs?limit=x").await, 400, "malformed").await;
    refused(person.get("/v1/jobs?after=rubbish").await, 400, "malformed").await;
}

#[tokio::test]
async fn every_response_carries_security_headers_and_a_request_id() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    for path in [
        "/healthz",
        "/readyz",
        "/v1/me",
        "/v1/nowhere",
        "/openapi.json",
    ] {
        let response = person.get(path).await;
        let headers = response.headers();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains("script-src 'self' 'wasm-unsafe-eval'"),
            "{path}"
        );
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert!(headers.contains_key("referrer-policy"), "{path}");
        assert!(
            headers["request-id"].to_str().unwrap().starts_with("req_"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn browsers_are_told_to_stay_on_tls_where_there_is_tls() {
    let plain = Server::start().await;
    let answer = plain.stranger().get("/healthz").await;
    assert!(!answer.headers().contains_key("strict-transport-security"));
    let server =
        Server::start_with(|config| config.public_url = Some("https://guard.example.org".into()))
            .await;
    for path in ["/healthz", "/v1/nowhere"] {
        let answer = server.stranger().get(path).await;
        assert_eq!(
            answer.headers()["strict-transport-security"],
            "max-age=31536000"
        );
    }
}

#[tokio::test]
async fn dashboard_is_served_beside_the_api() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("index.html", "<title>page</title>");
    write("app-0a1b2c3d.js", "plain");
    write("app-0a1b2c3d.js.br", "compressed");
    let path = directory.path().to_owned();
    let server = Server::start_with(|config| config.frontend_dir = Some(path)).await;
    let person = server.stranger();
    for path in ["/", "/jobs/job_1", "/sign-in"] {
        let response = person.get(path).await;
        assert_eq!(response.headers()["content-type"], "text/html");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        assert_eq!(
            response.text().await.unwrap(),
            "<title>page</title>",
            "{path}"
        );
    }
    let response = person.get("/app-0a1b2c3d.js").await;
    assert!(
        response.headers()["cache-control"]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
    assert_eq!(response.text().await.unwrap(), "plain");
    let request = person
        .request(Method::GET, "/app-0a1b2c3d.js")
        .header("accept-encoding", "br");
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "br");
    refused(person.get("/missing.js").await, 404, "not_found").await;
    refused(person.get("/v1/nowhere").await, 404, "not_found").await;
    refused(person.get("/../Cargo.toml").await, 404, "not_found").await;
    refused(
        person.get("/%2e%2e/%2e%2e/etc/passwd.txt").await,
        404,
        "not_found",
    )
    .await;
    let response = person.request(Method::POST, "/").send().await.unwrap();
    assert!(response.headers().contains_key("allow"));
    refused(response, 405, "method_not_allowed").await;
    assert_eq!(person.get("/healthz").await.status(), StatusCode::OK);
}
