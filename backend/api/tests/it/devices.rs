//! Signing a program in by a code: what is refused, how it asks, and that everything happens once.

use reqwest::StatusCode;
use serde_json::{Value, json};
use shared::{
    auth::{AccessToken, User},
    device::{DeviceAuthorization, PendingDevice},
};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{
    commands::{Shell, said},
    keys::{holder, make},
    support::{Person, Server, body, refused},
};

const CREATE: &str = "/v1/device-authorizations";
const LOOKUP: &str = "/v1/device-authorizations/lookup";
const DECISION: &str = "/v1/device-authorizations/decision";
const COLLECT: &str = "/v1/tokens/device";

async fn begin(server: &Server) -> DeviceAuthorization {
    let request = json!({ "name": "persguard on a test" });
    let begun = server.stranger().post(CREATE, &request).await;
    assert_eq!(begun.headers()["cache-control"], "no-store");
    body(begun, StatusCode::CREATED).await
}

async fn collect(server: &Server, device: &DeviceAuthorization) -> reqwest::Response {
    let request = json!({ "device_code": device.device_code });
    server.stranger().post(COLLECT, &request).await
}

/// The program waits as it was told to, and asks.
async fn wait_and_collect(server: &Server, device: &DeviceAuthorization) -> reqwest::Response {
    server.clock.advance(5000);
    collect(server, device).await
}

async fn decide(person: &Person<'_>, device: &DeviceAuthorization, yes: bool) -> reqwest::Response {
    let request = json!({ "user_code": device.user_code, "approve": yes });
    person.post(DECISION, &request).await
}

#[tokio::test]
async fn nobody_decides_who_may_not() {
    let server = Server::start().await;
    let device = begin(&server).await;
    let stranger = server.stranger();
    for path in [LOOKUP, DECISION] {
        let request = json!({ "user_code": device.user_code });
        refused(stranger.post(path, &request).await, 401, "unauthenticated").await;
    }
    let ada = server.person("ada").await;
    for wrong in ["", "AAAA-AAAA", "BCDF-GHJ", "' OR 1=1"] {
        let request = json!({ "user_code": wrong, "approve": true });
        let problem = refused(ada.post(DECISION, &request).await, 422, "invalid").await;
        assert_eq!(problem["errors"][0]["pointer"], "#/user_code");
    }
    let unknown = json!({ "user_code": "BBBB-BBBB", "approve": true });
    refused(ada.post(DECISION, &unknown).await, 410, "gone").await;
    let unknown = json!({ "user_code": "BBBB-BBBB" });
    refused(ada.post(LOOKUP, &unknown).await, 410, "gone").await;
    for request in [
        json!({}),
        json!({ "name": " " }),
        json!({ "name": "x", "scope": "all" }),
    ] {
        let answer = stranger.post(CREATE, &request).await;
        assert_eq!(answer.status(), 422, "{request}");
    }

    // Neither a key nor a token that somebody found makes itself a sign-in that lasts.
    let key = make(&ada, &json!({ "name": "k", "scopes": ["sets:read"] })).await;
    let key = holder(&server, &key.secret);
    refused(decide(&key, &device, true).await, 403, "forbidden").await;
    let login = json!({ "email": "ada@example.org", "password": "correct horse battery" });
    let token: AccessToken = body(
        stranger.post("/v1/tokens", &login).await,
        StatusCode::CREATED,
    )
    .await;
    let token = holder(&server, &token.access_token);
    refused(decide(&token, &device, true).await, 403, "forbidden").await;
    refused(
        wait_and_collect(&server, &device).await,
        400,
        "authorization_pending",
    )
    .await;
}

#[tokio::test]
async fn confirmed_program_gets_tokens_once() {
    let server = Server::start().await;
    let device = begin(&server).await;
    assert_eq!((device.interval, device.expires_in), (5, 900));
    assert_eq!(device.verification_uri, server.url("/device"));
    let filled = format!("{}#code={}", device.verification_uri, device.user_code);
    assert_eq!(device.verification_uri_complete, filled);
    let pending = refused(
        collect(&server, &device).await,
        400,
        "authorization_pending",
    )
    .await;
    assert_eq!(pending["retryable"], true);

    let ada = server.person("ada").await;
    let typed = device.user_code.to_lowercase().replace('-', " ");
    let waiting = ada.post(LOOKUP, &json!({ "user_code": typed })).await;
    let waiting: PendingDevice = body(waiting, StatusCode::OK).await;
    assert_eq!(
        (waiting.name.as_str(), waiting.address.as_str()),
        ("persguard on a test", "127.0.0.1")
    );
    assert_eq!(
        decide(&ada, &device, true).await.status(),
        StatusCode::NO_CONTENT
    );
    for again in [true, false] {
        refused(decide(&ada, &device, again).await, 410, "gone").await;
    }

    let token: AccessToken = body(
        wait_and_collect(&server, &device).await,
        StatusCode::CREATED,
    )
    .await;
    let program = holder(&server, &token.access_token);
    assert_eq!(
        program.read::<User>("/v1/me").await.email,
        "ada@example.org"
    );
    let next = json!({ "refresh_token": token.refresh_token });
    let next = server.stranger().post("/v1/tokens/refresh", &next).await;
    let _: AccessToken = body(next, StatusCode::CREATED).await;
    refused(
        wait_and_collect(&server, &device).await,
        400,
        "expired_token",
    )
    .await;

    let log: Value = ada.read("/v1/audit-events").await;
    let log = log.to_string();
    assert!(
        log.contains("device.approved") && log.contains("persguard on a test"),
        "{log}"
    );
    // Neither code lies in the database as it was given.
    let files = std::fs::read_dir(server.data_dir()).unwrap();
    for file in files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
    {
        let bytes = std::fs::read(&file).unwrap();
        for code in [&device.user_code, &device.device_code] {
            let found = bytes
                .windows(code.len())
                .any(|part| part == code.as_bytes());
            assert!(!found, "{}", file.display());
        }
    }
}

#[tokio::test]
async fn hasty_denied_and_late_programs_are_told_so() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let hasty = begin(&server).await;
    refused(collect(&server, &hasty).await, 400, "authorization_pending").await;
    refused(collect(&server, &hasty).await, 400, "slow_down").await;
    // Five seconds more from now on.
    refused(wait_and_collect(&server, &hasty).await, 400, "slow_down").await;
    decide(&ada, &hasty, true).await;
    server.clock.advance(10_000);
    let patient = wait_and_collect(&server, &hasty).await;
    let _: AccessToken = body(patient, StatusCode::CREATED).await;

    let denied = begin(&server).await;
    assert_eq!(
        decide(&ada, &denied, false).await.status(),
        StatusCode::NO_CONTENT
    );
    let no = refused(collect(&server, &denied).await, 400, "access_denied").await;
    assert_eq!(no["retryable"], false);
    refused(
        wait_and_collect(&server, &denied).await,
        400,
        "expired_token",
    )
    .await;

    let late = begin(&server).await;
    server.clock.advance(901_000);
    refused(decide(&ada, &late, true).await, 410, "gone").await;
    refused(collect(&server, &late).await, 400, "expired_token").await;
    let unknown = json!({ "device_code": "pgd_nonsense" });
    refused(
        server.stranger().post(COLLECT, &unknown).await,
        400,
        "expired_token",
    )
    .await;

    // A new password ends what was let in and not collected.
    let open = begin(&server).await;
    decide(&ada, &open, true).await;
    let change = json!({ "current_password": "correct horse battery", "new_password": "staple battery horse" });
    let changed = ada.post("/v1/me/password", &change).await;
    assert!(changed.status().is_success(), "{}", changed.status());
    refused(collect(&server, &open).await, 400, "expired_token").await;
}

/// Starts `login`; gives the process and the code that it shows.
async fn login(shell: &Shell, server: &Server) -> (tokio::process::Child, Value) {
    let url = server.url("");
    let words = ["login", "--json", "--server", &url];
    let mut login = shell.command(&words).spawn().expect("it starts");
    let mut out = BufReader::new(login.stdout.as_mut().expect("an output"));
    let mut line = String::new();
    out.read_line(&mut line).await.expect("a line");
    let shown = serde_json::from_str(&line).expect("JSON");
    (login, shown)
}

#[tokio::test]
async fn command_signs_in_by_a_code_and_out_again() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let shell = Shell::new();
    let plain = ["login", "--server", "http://192.0.2.1"];
    shell.run(&plain).await.ended(2);

    let (waiting, shown) = login(&shell, &server).await;
    let request = json!({ "user_code": shown["user_code"], "approve": false });
    ada.post(DECISION, &request).await;
    let turned_away = said(waiting).await.ended(3);
    assert!(
        turned_away.err.contains("turned this program away"),
        "{turned_away:?}"
    );
    shell.run(&["gallery"]).await.ended(3);

    let (waiting, shown) = login(&shell, &server).await;
    assert!(shown.get("device_code").is_none(), "{shown}");
    let looked = ada
        .post(LOOKUP, &json!({ "user_code": shown["user_code"] }))
        .await;
    let looked: PendingDevice = body(looked, StatusCode::OK).await;
    assert!(looked.name.starts_with("persguard"), "{looked:?}");
    let request = json!({ "user_code": shown["user_code"], "approve": true });
    ada.post(DECISION, &request).await;
    let done = said(waiting).await.ended(0);
    assert_eq!(done.document()["account"], "ada@example.org");

    // The access token expires; the command renews it, and keeps what it got.
    server.clock.advance(16 * 60_000);
    shell.run(&["gallery"]).await.ended(0);
    let both = [shell.run(&["gallery"]), shell.run(&["gallery", "--json"])];
    server.clock.advance(16 * 60_000);
    for said in futures::future::join_all(both).await {
        said.ended(0);
    }
    let kept = std::fs::read_to_string(shell.credentials()).unwrap();
    let kept: Value = serde_json::from_str(&kept).unwrap();
    let refresh = kept["servers"][server.url("")]["credential"]["refresh_token"].clone();
    assert!(refresh.as_str().unwrap().starts_with("pgr_"), "{kept}");
    shell.run(&["logout"]).await.ended(0);
    let used = json!({ "refresh_token": refresh });
    let used = server.stranger().post("/v1/tokens/refresh", &used).await;
    refused(used, 401, "unauthenticated").await;
}
