//! Second factors, refresh tokens, sessions, passwords.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::{
    audit::AuditEvent,
    auth::{AccessToken, RecoveryCodes, Session, TotpSetup, User},
    page::Page,
};
use totp_rs::{Builder, Secret};

use crate::support::{Person, Server, body, refused};

const PASSWORD: &str = "correct horse battery";

fn login(code: Option<&str>) -> Value {
    let mut login = json!({ "email": "ada@example.org", "password": PASSWORD });
    if let Some(code) = code {
        login["code"] = json!(code);
    }
    login
}

/// What the app shows now.
pub(crate) fn code(server: &Server, secret: &str) -> String {
    let secret = Secret::try_from_base32(secret).expect("base32");
    let totp = Builder::new().with_secret(secret).build().expect("valid");
    let seconds = server.app.now().milliseconds() / 1000;
    totp.generate(seconds.unsigned_abs()).to_string()
}

pub(crate) async fn set_up(server: &Server, ada: &Person<'_>) -> (String, Vec<String>) {
    let begin = json!({ "password": PASSWORD });
    let setup: TotpSetup = body(ada.post("/v1/me/totp", &begin).await, StatusCode::CREATED).await;
    assert!(setup.uri.starts_with("otpauth://totp/"), "{}", setup.uri);
    assert!(setup.uri.contains(&setup.secret) && setup.uri.contains("ada%40example.org"));
    let confirm = json!({ "code": code(server, &setup.secret) });
    let codes = ada.post("/v1/me/totp/confirm", &confirm).await;
    let codes: RecoveryCodes = body(codes, StatusCode::OK).await;
    (setup.secret, codes.codes)
}

#[tokio::test]
async fn database_holds_nothing_that_makes_codes() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let (secret, recovery) = set_up(&server, &ada).await;
    let raw = Secret::try_from_base32(&secret).expect("base32");
    let mut read = Vec::new();
    for entry in std::fs::read_dir(server.data_dir()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.contains(".sqlite") {
            read.extend(std::fs::read(path).unwrap());
        }
    }
    let holds = |bytes: &[u8]| read.windows(bytes.len()).any(|window| window == bytes);
    assert!(holds(b"ada@example.org"), "this is where accounts lie");
    assert!(!holds(secret.as_bytes()) && !holds(raw.as_bytes()));
    assert!(recovery.iter().all(|code| !holds(code.as_bytes())));
}

#[tokio::test]
async fn signing_in_takes_a_code_that_works_once() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let wrong = json!({ "password": "wrong wrong wrong" });
    refused(
        ada.post("/v1/me/totp", &wrong).await,
        403,
        "invalid_credentials",
    )
    .await;
    let early = json!({ "code": "123456" });
    refused(
        ada.post("/v1/me/totp/confirm", &early).await,
        409,
        "conflict",
    )
    .await;
    let (secret, recovery) = set_up(&server, &ada).await;
    assert!(ada.read::<User>("/v1/me").await.second_factor);
    let stranger = server.stranger();
    for route in ["/v1/sessions", "/v1/tokens"] {
        refused(
            stranger.post(route, &login(None)).await,
            401,
            "second_factor_required",
        )
        .await;
        let wrong = stranger.post(route, &login(Some("000000"))).await;
        refused(wrong, 401, "second_factor_required").await;
    }
    let setup_code = code(&server, &secret);
    let used = stranger
        .post("/v1/sessions", &login(Some(&setup_code)))
        .await;
    refused(used, 401, "second_factor_required").await;
    server.clock.advance(60_000);
    let now = code(&server, &secret);
    let response = stranger.post("/v1/sessions", &login(Some(&now))).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let again = server
        .stranger()
        .post("/v1/sessions", &login(Some(&now)))
        .await;
    refused(again, 401, "second_factor_required").await;
    let spoken = recovery[0].replace('-', " ");
    let response = stranger.post("/v1/sessions", &login(Some(&spoken))).await;
    assert_eq!(
        response.status(),
        StatusCode::CREATED,
        "a recovery code stands in"
    );
    let response = stranger.post("/v1/sessions", &login(Some(&spoken))).await;
    refused(response, 401, "second_factor_required").await;
    // A wrong password tells nothing of the second factor.
    let wrong = json!({ "email": "ada@example.org", "password": "wrong wrong wrong" });
    refused(
        stranger.post("/v1/sessions", &wrong).await,
        401,
        "invalid_credentials",
    )
    .await;
}

#[tokio::test]
async fn second_factor_ends_with_password_and_code() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let (_, recovery) = set_up(&server, &ada).await;
    let begin = json!({ "password": PASSWORD });
    refused(ada.post("/v1/me/totp", &begin).await, 409, "conflict").await;
    let prove = |code: &str| json!({ "password": PASSWORD, "code": code });
    let renewed = ada
        .post("/v1/me/recovery-codes", &prove(&recovery[0]))
        .await;
    let renewed: RecoveryCodes = body(renewed, StatusCode::OK).await;
    assert_eq!(renewed.codes.len(), 10);
    let path = "/v1/me/totp/disable";
    refused(
        ada.post(path, &prove(&recovery[1])).await,
        403,
        "invalid_credentials",
    )
    .await;
    let wrong = json!({ "password": "wrong wrong wrong", "code": renewed.codes[0] });
    refused(ada.post(path, &wrong).await, 403, "invalid_credentials").await;
    let done = ada.post(path, &prove(&renewed.codes[0])).await;
    assert_eq!(done.status(), StatusCode::NO_CONTENT);
    let response = server.stranger().post("/v1/sessions", &login(None)).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    server
        .letter("ada@example.org", "takes the password alone")
        .await;
    let log: Page<AuditEvent> = ada.read("/v1/audit-events").await;
    let told: Vec<&str> = log
        .data
        .iter()
        .map(|event| event.entry.action.as_str())
        .collect();
    let expected = [
        "session.created",
        "second_factor.disabled",
        "second_factor.codes_renewed",
        "second_factor.enabled",
    ];
    assert_eq!(told[..4], expected);
}

#[tokio::test]
async fn account_is_deleted_with_every_proof_that_signing_in_takes() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let (_, recovery) = set_up(&server, &ada).await;
    let path = "/v1/deletions";
    let without = ada.post(path, &login(None)).await;
    refused(without, 401, "second_factor_required").await;
    let wrong = ada.post(path, &login(Some("000000"))).await;
    refused(wrong, 401, "second_factor_required").await;
    let guess =
        json!({ "email": "ada@example.org", "password": "wrong wrong wrong", "code": recovery[0] });
    for _ in 0..20 {
        refused(ada.post(path, &guess).await, 401, "invalid_credentials").await;
    }
    let right = login(Some(&recovery[0]));
    refused(ada.post(path, &right).await, 429, "rate_limited").await;
    assert_eq!(ada.get("/v1/me").await.status(), StatusCode::OK);
    server.clock.advance(61_000);
    let done = ada.post(path, &right).await;
    assert_eq!(done.status(), StatusCode::CREATED);
    refused(ada.get("/v1/me").await, 401, "unauthenticated").await;
}

#[tokio::test]
async fn refresh_token_works_once_and_a_copy_ends_its_family() {
    let server = Server::start().await;
    server.person("ada").await;
    let stranger = server.stranger();
    let first: AccessToken = body(
        stranger.post("/v1/tokens", &login(None)).await,
        StatusCode::CREATED,
    )
    .await;
    let refresh = async |token: &str| {
        let request = json!({ "refresh_token": token });
        stranger.post("/v1/tokens/refresh", &request).await
    };
    server.clock.advance(901_000);
    let second = refresh(&first.refresh_token).await;
    assert_eq!(second.headers()["cache-control"], "no-store");
    let second: AccessToken = body(second, StatusCode::CREATED).await;
    let mut script = server.stranger();
    script.bearer = Some(second.access_token);
    assert_eq!(script.read::<User>("/v1/me").await.name, "ada");
    refused(refresh(&first.refresh_token).await, 401, "unauthenticated").await;
    refused(refresh(&second.refresh_token).await, 401, "unauthenticated").await;
    refused(refresh("rubbish").await, 401, "unauthenticated").await;
    let other: AccessToken = body(
        stranger.post("/v1/tokens", &login(None)).await,
        StatusCode::CREATED,
    )
    .await;
    let end = json!({ "refresh_token": other.refresh_token });
    let ended = stranger.post("/v1/tokens/revoke", &end).await;
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    refused(refresh(&other.refresh_token).await, 401, "unauthenticated").await;
    let elsewhere = json!({ "email": "ada@example.org", "password": PASSWORD,
        "organisation_id": format!("org_{:032x}", 9) });
    refused(
        stranger.post("/v1/tokens", &elsewhere).await,
        404,
        "not_found",
    )
    .await;
}

#[tokio::test]
async fn tokens_of_an_older_signing_key_stay_valid() {
    let server = Server::start().await;
    server.person("ada").await;
    let response = server.stranger().post("/v1/tokens", &login(None)).await;
    let token: AccessToken = body(response, StatusCode::CREATED).await;
    let keys = async || {
        let keys: Value = server.stranger().read("/.well-known/jwks.json").await;
        keys["keys"].as_array().expect("keys").len()
    };
    assert_eq!(keys().await, 1);
    server.app.tokens().rotate(server.app.now()).unwrap();
    assert_eq!(keys().await, 2);
    let mut script = server.stranger();
    script.bearer = Some(token.access_token);
    assert_eq!(script.read::<User>("/v1/me").await.name, "ada");
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let phone = server.stranger();
    let signed = phone
        .request(Method::POST, "/v1/sessions")
        .header("user-agent", "Phone/1.0")
        .json(&login(None));
    assert_eq!(signed.send().await.unwrap().status(), StatusCode::CREATED);
    let sessions: Page<Session> = ada.read("/v1/sessions").await;
    assert_eq!(sessions.data.len(), 2);
    let (other, own) = (&sessions.data[0], &sessions.data[1]);
    assert!(own.current && !other.current);
    assert_eq!(
        (other.user_agent.as_str(), other.address.as_str()),
        ("Phone/1.0", "127.0.0.1")
    );
    let eve = server.person("eve").await;
    let path = format!("/v1/sessions/{}", other.id);
    refused(eve.delete(&path).await, 404, "not_found").await;
    assert_eq!(phone.get("/v1/me").await.status(), StatusCode::OK);
    assert_eq!(ada.delete(&path).await.status(), StatusCode::NO_CONTENT);
    refused(phone.get("/v1/me").await, 401, "unauthenticated").await;
    refused(ada.delete(&path).await, 404, "not_found").await;
}

#[tokio::test]
async fn new_password_ends_other_sessions_and_refresh_tokens() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let phone = server.stranger();
    assert_eq!(
        phone.post("/v1/sessions", &login(None)).await.status(),
        StatusCode::CREATED
    );
    let token: AccessToken = body(
        server.stranger().post("/v1/tokens", &login(None)).await,
        StatusCode::CREATED,
    )
    .await;
    let wrong = json!({ "current_password": "wrong wrong wrong", "new_password": "another horse" });
    let problem = refused(
        ada.post("/v1/me/password", &wrong).await,
        403,
        "invalid_credentials",
    )
    .await;
    assert_eq!(problem["errors"][0]["pointer"], "#/current_password");
    let short = json!({ "current_password": PASSWORD, "new_password": "short" });
    refused(ada.post("/v1/me/password", &short).await, 422, "invalid").await;
    let change = json!({ "current_password": PASSWORD, "new_password": "another horse" });
    let changed = ada.post("/v1/me/password", &change).await;
    assert_eq!(changed.status(), StatusCode::NO_CONTENT);
    assert_eq!(
        ada.get("/v1/me").await.status(),
        StatusCode::OK,
        "this browser stays"
    );
    refused(phone.get("/v1/me").await, 401, "unauthenticated").await;
    let request = json!({ "refresh_token": token.refresh_token });
    let refreshed = phone.post("/v1/tokens/refresh", &request).await;
    refused(refreshed, 401, "unauthenticated").await;
    refused(
        phone.post("/v1/sessions", &login(None)).await,
        401,
        "invalid_credentials",
    )
    .await;
    server
        .letter("ada@example.org", "Your password was changed")
        .await;
}

#[tokio::test]
async fn guessing_from_many_addresses_locks_the_account_for_a_while() {
    let server = Server::start_with(|config| {
        config.trusted_proxies = vec!["127.0.0.1".parse().expect("a block")];
    })
    .await;
    server.person("ada").await;
    let stranger = server.stranger();
    let attempt = async |number: u32, password: &str| {
        let login = json!({ "email": "ada@example.org", "password": password });
        let request = stranger
            .request(Method::POST, "/v1/sessions")
            .header("x-forwarded-for", format!("198.51.100.{number}"));
        request.json(&login).send().await.expect("an answer")
    };
    for number in 0..20 {
        refused(
            attempt(number, "wrong wrong wrong").await,
            401,
            "invalid_credentials",
        )
        .await;
    }
    let locked = attempt(100, PASSWORD).await;
    let wait: i64 = locked.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    refused(locked, 429, "rate_limited").await;
    server.clock.advance((wait + 1) * 1000);
    assert_eq!(attempt(101, PASSWORD).await.status(), StatusCode::CREATED);
}
