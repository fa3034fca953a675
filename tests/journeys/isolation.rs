//! Nobody sees what is another's; nobody gets in with a forged token.

use anyhow::{Result, ensure};
use e2e::{Person, Server};
use reqwest::{Client, Method, StatusCode};
use serde_json::json;
use shared::{
    page::Page,
    problem::{ErrorCode, Problem},
    protected_set::ProtectedSet,
};

#[tokio::test]
async fn another_persons_ids_do_not_exist() -> Result<()> {
    let server = Server::start(&[("PERSGUARD_LOCAL_NODE", "false")])?;
    let owner = Person::sign_up(&server, "owner@example.org").await?;
    let set = owner.sealed_set(demo::SUBJECT).await?;
    let job = owner.launch(&owner.short_spec(&set).await?, "once").await?;
    let stranger = Person::sign_up(&server, "stranger@example.org").await?;
    let paths = [
        (Method::GET, format!("/v1/protected-sets/{}", set.id)),
        (Method::GET, set.images[0].url.clone()),
        (Method::DELETE, format!("/v1/images/{}", set.images[0].id)),
        (Method::GET, format!("/v1/jobs/{}", job.id)),
        (
            Method::GET,
            format!("/v1/jobs/{}/events?format=json", job.id),
        ),
        (Method::GET, format!("/v1/jobs/{}/artifacts", job.id)),
        (Method::POST, format!("/v1/jobs/{}/cancel", job.id)),
        (Method::POST, format!("/v1/jobs/{}/retry", job.id)),
    ];
    for (method, path) in paths {
        let answer = stranger.request(method.clone(), &path).send().await?;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{method} {path}");
        assert_eq!(
            answer.json::<Problem>().await?.code,
            ErrorCode::NotFound,
            "{method} {path}"
        );
    }
    let spec = owner.short_spec(&set).await?;
    let request = stranger
        .request(Method::POST, "/v1/jobs")
        .header("Idempotency-Key", "mine");
    let status = request.json(&spec).send().await?.status();
    ensure!(status.is_client_error(), "a job on another's set: {status}");
    let sets: Page<ProtectedSet> = stranger.get("/v1/protected-sets").await?;
    ensure!(sets.data.is_empty());
    Ok(())
}

#[tokio::test]
async fn without_a_valid_token_nothing_opens() -> Result<()> {
    let server = Server::start(&[("PERSGUARD_LOCAL_NODE", "false")])?;
    let http = Client::new();
    for path in ["/v1/me", "/v1/jobs", "/v1/protected-sets", "/v1/galleries"] {
        for token in [
            None,
            Some("a.b.c"),
            Some("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."),
        ] {
            let mut request = http.get(server.url(path));
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let answer = request.send().await?;
            assert_eq!(
                answer.status(),
                StatusCode::UNAUTHORIZED,
                "{path} {token:?}"
            );
            ensure!(answer.headers().contains_key("www-authenticate"), "{path}");
        }
    }
    let person = Person::sign_up(&server, "person@example.org").await?;
    let answer = person
        .request(Method::POST, "/v1/node/leases")
        .json(&json!({}))
        .send()
        .await?;
    ensure!(
        [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&answer.status()),
        "a person's token is no node's: {}",
        answer.status()
    );
    Ok(())
}
