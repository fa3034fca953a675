//! The OpenAPI document and the router agree.

use api::policy::RULES;
use reqwest::Method;
use serde_json::Value;

use crate::support::Server;

#[tokio::test]
async fn document_lists_the_agreed_routes_and_all_are_served() {
    let server = Server::start().await;
    let stranger = server.stranger();
    let document: Value = stranger.get("/openapi.json").await.json().await.unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut listed = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            listed.push((method.to_uppercase(), path.clone()));
        }
    }
    let mut agreed: Vec<_> = RULES
        .iter()
        .map(|rule| (rule.method.to_owned(), rule.path.to_owned()))
        .collect();
    listed.sort();
    agreed.sort();
    assert_eq!(listed, agreed);
    for (method, path) in listed {
        // No route takes PURGE; one that exists says which methods it does take.
        let purge = Method::from_bytes(b"PURGE").unwrap();
        let place = path.replace(['{', '}'], "");
        let response = stranger.request(purge, &place).send().await.unwrap();
        assert_eq!(response.status(), 405, "{path}");
        let allow = response.headers()["allow"].to_str().unwrap();
        assert!(allow.contains(&method), "{method} {path}: {allow}");
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

#[tokio::test]
async fn every_response_is_described_and_no_parameter_stands_twice() {
    let document = serde_json::to_value(api::router::document()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let described = response["description"].as_str();
                assert!(
                    described.is_some_and(|text| !text.is_empty()),
                    "{method} {path} {status}"
                );
            }
            let parameters = operation["parameters"].as_array();
            let mut seen = std::collections::BTreeSet::new();
            for parameter in parameters.into_iter().flatten() {
                let place = (parameter["name"].to_string(), parameter["in"].to_string());
                assert!(seen.insert(place.clone()), "{method} {path}: {place:?}");
            }
        }
    }
}
