//! No secret is ever logged: one of each kind is used, with the log wide open, and then looked for.

use anyhow::{Context, Result, ensure};
use e2e::{Person, Server, letters};
use reqwest::{Client, Method, StatusCode, header};
use serde_json::{Value, json};
use shared::job::JobStatus;

const PASSWORD: &str = "a password that nobody else has";
const WRONG: &str = "a password that nobody has at all";
const METRICS: &str = "the operator's own metrics token";
/// Nothing is shared under it; whoever mistypes an address shall not find it in a log.
const SHARED: &str = "Q0ZzbWlzdHlwZWRzaGFyZWxpbmtzZWNyZXQ";

/// Signs up in a browser's way; gives the session's secret.
async fn browser(server: &Server, http: &Client) -> Result<String> {
    let user = json!({ "email": "log@example.org", "password": PASSWORD, "name": "Log" });
    let answer = http
        .post(server.url("/v1/users"))
        .json(&user)
        .send()
        .await?;
    ensure!(answer.status() == StatusCode::CREATED);
    let cookie = answer.headers()[header::SET_COOKIE].to_str()?.to_owned();
    let (_, value) = cookie.split_once('=').context("no cookie")?;
    let (value, _) = value.split_once(';').context("no end")?;
    Ok(value.to_owned())
}

/// The answer's document, if it is one.
async fn posted(server: &Server, http: &Client, path: &str, body: &Value) -> Result<Value> {
    let answer = http.post(server.url(path)).json(body).send().await?;
    let text = answer.text().await?;
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

fn text(document: &Value, field: &str) -> Result<String> {
    let text = document[field].as_str();
    text.map(str::to_owned)
        .with_context(|| format!("no {field} in {document}"))
}

/// The longest part of an address's query: a signature, where there is one.
fn signature(url: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let values = query.split('&').filter_map(|pair| pair.split_once('='));
    values
        .map(|(_, value)| value.to_owned())
        .max_by_key(String::len)
}

/// Uses what people, programs and operators prove themselves with.
async fn use_accounts(server: &Server) -> Result<Vec<String>> {
    let http = Client::new();
    let mut secrets = vec![
        PASSWORD.to_owned(),
        WRONG.to_owned(),
        METRICS.to_owned(),
        SHARED.to_owned(),
    ];
    secrets.push(browser(server, &http).await?);
    let letter = letters::link(server, "verify-email").await?;
    let (_, token) = letter.split_once("token=").context("no token")?;
    secrets.push(token.to_owned());
    let login = json!({ "email": "log@example.org", "password": PASSWORD });
    let tokens = posted(server, &http, "/v1/tokens", &login).await?;
    secrets.push(text(&tokens, "access_token")?);
    secrets.push(text(&tokens, "refresh_token")?);
    let refresh = json!({ "refresh_token": text(&tokens, "refresh_token")? });
    let tokens = posted(server, &http, "/v1/tokens/refresh", &refresh).await?;
    let access = text(&tokens, "access_token")?;
    secrets.push(access.clone());
    let confirmed = http
        .post(server.url("/v1/email-verifications/confirm"))
        .bearer_auth(&access)
        .json(&json!({ "token": token }));
    ensure!(
        confirmed.send().await?.status().is_success(),
        "it is confirmed"
    );
    let wrong = json!({ "email": "log@example.org", "password": WRONG });
    posted(server, &http, "/v1/sessions", &wrong).await?;
    let key = json!({ "name": "Log", "scopes": ["sets:read"] });
    let key = http
        .post(server.url("/v1/api-keys"))
        .bearer_auth(&access)
        .json(&key);
    let key = text(&key.send().await?.json().await?, "secret")?;
    http.get(server.url("/v1/me"))
        .bearer_auth(&key)
        .send()
        .await?;
    secrets.push(key);
    http.get(server.url(&format!("/s/{SHARED}"))).send().await?;
    let metrics = http.get(server.url("/metrics")).bearer_auth(METRICS);
    ensure!(metrics.send().await?.status() == StatusCode::OK);
    Ok(secrets)
}

/// Sends pictures to signed addresses and has a job done, which takes its secrets to the node and the trainer.
async fn use_pictures(server: &Server) -> Result<Vec<String>> {
    let person = Person::sign_up(server, "pictures@example.org").await?;
    let set = person.sealed_set(demo::SUBJECT).await?;
    let announced = json!({ "name": "Another" });
    let other: Value = person
        .send(
            Method::POST,
            "/v1/protected-sets",
            &announced,
            StatusCode::CREATED,
        )
        .await?;
    let upload = json!({ "protected_set_id": other["id"], "filename": "a.png", "size_bytes": 100,
        "sha256": "0".repeat(64), "media_type": "image/png" });
    let upload: Value = person
        .send(Method::POST, "/v1/uploads", &upload, StatusCode::CREATED)
        .await?;
    let url = text(&upload, "url")?;
    let signature = signature(&url).context("the address is not signed")?;
    person.request(Method::PUT, &url).body("x").send().await?;
    let job = person
        .launch(&person.short_spec(&set).await?, "once")
        .await?;
    person.wait_for(job.id, JobStatus::Succeeded, 120).await?;
    Ok(vec![person.token().to_owned(), signature])
}

#[tokio::test]
async fn no_secret_is_logged_at_any_level() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("metrics");
    std::fs::write(&file, METRICS)?;
    let file = file.display().to_string();
    let server = Server::start(&[
        ("PERSGUARD_LOG", "trace"),
        ("PERSGUARD_METRICS_TOKEN_FILE", &file),
    ])?;
    let mut secrets = use_accounts(&server).await?;
    secrets.extend(use_pictures(&server).await?);
    let log = server.whole_log()?;
    ensure!(
        log.contains("\"TRACE\"") && log.contains("lease taken"),
        "the log is not open"
    );
    for secret in secrets {
        ensure!(
            secret.len() >= 20,
            "`{secret}` is too short to be looked for"
        );
        let found = log.lines().find(|line| line.contains(&secret));
        ensure!(
            found.is_none(),
            "a secret was logged: {}",
            found.unwrap_or_default()
        );
    }
    Ok(())
}
