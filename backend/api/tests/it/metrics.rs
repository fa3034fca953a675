//! What Prometheus reads, and who may.

use reqwest::StatusCode;

use crate::support::{Server, refused};

const TOKEN: &str = "a token of the operator";

#[tokio::test]
async fn metrics_want_their_own_token_and_are_not_there_without_one() {
    let plain = Server::start().await;
    refused(plain.stranger().get("/metrics").await, 404, "not_found").await;
    let server = Server::start_with(|config| config.metrics_token = Some(TOKEN.into())).await;
    refused(
        server.stranger().get("/metrics").await,
        401,
        "unauthenticated",
    )
    .await;
    // Nobody who is known by other means is meant.
    let ada = server.person("ada").await;
    refused(ada.get("/metrics").await, 401, "unauthenticated").await;
}

#[tokio::test]
async fn requests_are_counted_by_route_and_jobs_by_state() {
    let server = Server::start_with(|config| config.metrics_token = Some(TOKEN.into())).await;
    let ada = server.person("ada").await;
    let set = ada.set("x").await;
    let path = format!("/v1/protected-sets/{}", set.id);
    for _ in 0..3 {
        assert_eq!(ada.get(&path).await.status(), StatusCode::OK);
    }
    refused(ada.get("/v1/nowhere").await, 404, "not_found").await;
    let mut reader = server.stranger();
    reader.bearer = Some(TOKEN.into());
    let answer = reader.get("/metrics").await;
    assert_eq!(answer.status(), StatusCode::OK);
    let kind = answer.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = answer.text().await.unwrap();
    let line = "persguard_http_requests_total{method=\"GET\",route=\"/v1/protected-sets/{id}\",status=\"200\"} 3";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("persguard_nodes_online 0"), "{text}");
    assert!(
        text.contains("route=\"dashboard\",status=\"404\""),
        "{text}"
    );
    assert!(!text.contains(&set.id.to_string()), "an id became a label");
    assert!(text.ends_with("# EOF\n"), "{text}");
}
