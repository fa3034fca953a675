//! The OpenAPI document and the router agree.

use reqwest::Method;
use serde_json::Value;

use crate::support::Server;

/// Every route of the agreed table.
const TABLE: &[(&str, &str)] = &[
    ("get", "/healthz"),
    ("get", "/readyz"),
    ("get", "/openapi.json"),
    ("get", "/.well-known/jwks.json"),
    ("post", "/v1/users"),
    ("post", "/v1/sessions"),
    ("delete", "/v1/sessions/current"),
    ("post", "/v1/tokens"),
    ("get", "/v1/me"),
    ("get", "/.well-known/security.txt"),
    ("get", "/v1/admin/notices"),
    ("post", "/v1/admin/notices/{id}/decision"),
    ("get", "/v1/approvals"),
    ("post", "/v1/approvals"),
    ("get", "/v1/approvals/{id}"),
    ("post", "/v1/approvals/{id}/decision"),
    ("get", "/v1/audit-events"),
    ("get", "/v1/audit-events/export"),
    ("get", "/v1/audit-events/verification"),
    ("post", "/v1/deletions"),
    ("get", "/v1/deletions/{id}"),
    ("get", "/v1/exports"),
    ("post", "/v1/exports"),
    ("get", "/v1/exports/{id}"),
    ("get", "/v1/exports/{id}/content"),
    ("post", "/v1/jobs/{id}/evaluations"),
    ("get", "/v1/jobs/{id}/release"),
    ("get", "/v1/jobs/{id}/release/archive"),
    ("post", "/v1/notices"),
    ("get", "/v1/notices/{id}"),
    ("post", "/v1/notices/{id}/appeal"),
    ("get", "/v1/received-notices"),
    ("get", "/v1/received-notices/{id}"),
    ("put", "/v1/received-notices/{id}/answer"),
    ("get", "/v1/transparency"),
    ("get", "/v1/webhooks"),
    ("post", "/v1/webhooks"),
    ("get", "/v1/webhooks/{id}"),
    ("patch", "/v1/webhooks/{id}"),
    ("delete", "/v1/webhooks/{id}"),
    ("post", "/v1/webhooks/{id}/secret"),
    ("post", "/v1/webhooks/{id}/test"),
    ("get", "/v1/webhooks/{id}/deliveries"),
    ("get", "/v1/webhooks/{id}/deliveries/{delivery_id}"),
    ("post", "/v1/webhooks/{id}/deliveries/{delivery_id}/replay"),
    ("get", "/v1/base-models"),
    ("get", "/v1/base-models/{id}"),
    ("delete", "/v1/base-models/{id}"),
    ("get", "/v1/import-sources"),
    ("post", "/v1/base-model-imports"),
    ("get", "/v1/base-model-imports"),
    ("get", "/v1/base-model-imports/{id}"),
    ("delete", "/v1/base-model-imports/{id}"),
    ("put", "/v1/base-model-imports/{id}/files/{number}"),
    ("post", "/v1/base-model-imports/{id}/complete"),
    ("post", "/v1/base-model-imports/{id}/retry"),
    ("post", "/v1/protected-sets"),
    ("get", "/v1/protected-sets"),
    ("get", "/v1/protected-sets/{id}"),
    ("delete", "/v1/protected-sets/{id}"),
    ("put", "/v1/protected-sets/{id}/attestation"),
    ("post", "/v1/uploads"),
    ("get", "/v1/uploads/{id}"),
    ("post", "/v1/uploads/{id}/complete"),
    ("put", "/blobs/{key}"),
    ("get", "/blobs/{key}"),
    ("get", "/v1/images/{id}/content"),
    ("delete", "/v1/images/{id}"),
    ("post", "/v1/patches"),
    ("get", "/v1/patches"),
    ("get", "/v1/patches/{id}"),
    ("delete", "/v1/patches/{id}"),
    ("get", "/v1/patches/{id}/content"),
    ("get", "/v1/patches/licence-card/content"),
    ("post", "/v1/preflights"),
    ("post", "/v1/probes"),
    ("post", "/v1/jobs"),
    ("get", "/v1/jobs"),
    ("get", "/v1/jobs/{id}"),
    ("post", "/v1/jobs/{id}/cancel"),
    ("post", "/v1/jobs/{id}/retry"),
    ("get", "/v1/jobs/{id}/events"),
    ("get", "/v1/jobs/{id}/artifacts"),
    ("get", "/v1/artifacts/{id}/content"),
    ("get", "/v1/galleries"),
    ("get", "/v1/galleries/{id}"),
    ("get", "/v1/revocations"),
    ("get", "/v1/signing-keys"),
    ("get", "/v1/demo"),
    ("get", "/demo/samples/{set}/{file}"),
    ("post", "/v1/node/leases"),
    ("post", "/v1/node/jobs/{id}/heartbeats"),
    ("post", "/v1/node/jobs/{id}/uploads"),
    ("post", "/v1/node/jobs/{id}/resume"),
    ("post", "/v1/node/jobs/{id}/finish"),
];

#[tokio::test]
async fn document_lists_the_agreed_routes_and_all_are_served() {
    let server = Server::start().await;
    let stranger = server.stranger();
    let document: Value = stranger.get("/openapi.json").await.json().await.unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut listed = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "put", "post", "delete", "patch"] {
            if item.get(method).is_some() {
                listed.push((method.to_owned(), path.clone()));
            }
        }
    }
    let mut agreed: Vec<_> = TABLE
        .iter()
        .map(|(m, p)| ((*m).to_owned(), (*p).to_owned()))
        .collect();
    listed.sort();
    agreed.sort();
    assert_eq!(listed, agreed);
    for (method, path) in listed {
        let place = path
            .replace("{id}", "x")
            .replace("{key}", "x")
            .replace("{set}", "x")
            .replace("{number}", "x");
        let place = place.replace("{file}", "x");
        let place = place.replace("{delivery_id}", "x");
        // No route takes TRACE; one that exists says which methods it does take.
        let response = stranger
            .request(Method::TRACE, &place)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 405, "{path}");
        let allow = response.headers()["allow"].to_str().unwrap();
        assert!(
            allow.contains(&method.to_uppercase()),
            "{method} {path}: {allow}"
        );
    }
}

#[tokio::test]
async fn every_reference_of_the_document_resolves() {
    let document = serde_json::to_value(api::router::document()).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    for part in text.split("\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let problem = &operation["responses"]["default"]["content"]["application/problem+json"];
            assert!(problem.is_object(), "{method} {path}");
        }
    }
}
