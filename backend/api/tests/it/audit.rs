//! The audit log through HTTP, and its export without any server.

use std::{fs, process::Command};

use api::app::audit::verify_export;
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared::{
    audit::{AuditActor, AuditEvent, AuditVerification},
    auth::Session,
    page::Page,
};

use crate::support::{Server, refused};

#[tokio::test]
async fn log_tells_who_did_what_and_is_the_owners_alone() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let set = ada.set("My dog").await;
    let path = format!("/v1/protected-sets/{}", set.id);
    assert_eq!(ada.delete(&path).await.status(), StatusCode::NO_CONTENT);
    let log: Page<AuditEvent> = ada.read("/v1/audit-events?limit=2").await;
    let told: Vec<&str> = log
        .data
        .iter()
        .map(|event| event.entry.action.as_str())
        .collect();
    assert_eq!(told, ["protected_set.deleted", "protected_set.created"]);
    let entry = &log.data[0].entry;
    assert_eq!(entry.address.as_deref(), Some("127.0.0.1"));
    assert!(
        matches!(entry.actor, AuditActor::User { user_id } if user_id.uuid() == entry.log.uuid())
    );
    assert_eq!(entry.object.as_ref().unwrap().id, set.id.to_string());
    let next = format!("/v1/audit-events?after={}", log.next_cursor.unwrap());
    let rest: Page<AuditEvent> = ada.read(&next).await;
    assert_eq!(rest.data.last().unwrap().entry.action, "user.created");
    assert_eq!(
        rest.data.last().unwrap().entry.actor,
        AuditActor::Visitor,
        "nobody was signed in yet"
    );
    let eve = server.person("eve").await;
    let log: Page<AuditEvent> = eve.read("/v1/audit-events").await;
    assert_eq!(log.data.len(), 2, "an account and its session");
    for path in [
        "/v1/audit-events",
        "/v1/audit-events/export",
        "/v1/audit-events/verification",
    ] {
        refused(server.stranger().get(path).await, 401, "unauthenticated").await;
    }
}

#[tokio::test]
async fn log_tells_what_happens_to_the_account() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let password = "correct horse battery";
    let login = json!({ "email": "ada@example.org", "password": password });
    let elsewhere = server.stranger();
    elsewhere.post("/v1/sessions", &login).await;
    elsewhere.post("/v1/tokens", &login).await;
    let sessions: Page<Session> = ada.read("/v1/sessions").await;
    let other = sessions.data.iter().find(|session| !session.current);
    let other = format!("/v1/sessions/{}", other.expect("another").id);
    assert_eq!(ada.delete(&other).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(ada.delete(&other).await.status(), StatusCode::NOT_FOUND);
    let made = crate::keys::make(&ada, &json!({ "name": "x", "scopes": ["sets:read"] })).await;
    let key = format!("/v1/api-keys/{}", made.api_key.id);
    ada.patch(&key, &json!({ "name": "y" })).await;
    ada.post(&format!("{key}/rotate"), &json!({})).await;
    assert_eq!(ada.delete(&key).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(ada.delete(&key).await.status(), StatusCode::NO_CONTENT);
    let change = json!({ "current_password": password, "new_password": "staple battery horse" });
    let changed = ada.post("/v1/me/password", &change).await;
    assert_eq!(changed.status(), StatusCode::NO_CONTENT);
    let log: Page<AuditEvent> = ada.read("/v1/audit-events").await;
    let told: Vec<&str> = log
        .data
        .iter()
        .rev()
        .map(|event| event.entry.action.as_str())
        .collect();
    let expected = [
        "user.created",
        "session.created",
        "session.created",
        "token.created",
        "session.ended",
        "api_key.created",
        "api_key.updated",
        "api_key.rotated",
        "api_key.revoked",
        "user.password_changed",
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn export_is_verified_offline_and_every_change_is_found() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    ada.sealed_set("My dog").await;
    let found: AuditVerification = ada.read("/v1/audit-events/verification").await;
    assert!(found.intact && found.fault.is_none());
    let response = ada.get("/v1/audit-events/export").await;
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let export = response.text().await.unwrap();
    let keys = ada.get("/v1/signing-keys").await.bytes().await.unwrap();
    let verify = |text: &str| verify_export(text.as_bytes(), Some(&keys));
    let proof = verify(&export).unwrap();
    assert_eq!((proof.entries, proof.signed), (found.verified, true));
    let lines: Vec<&str> = export.lines().collect();
    assert_eq!(lines.len() as u64, proof.entries + 1);
    let join = |lines: &[&str]| lines.join("\n") + "\n";
    for at in 0..lines.len() {
        let mut fewer = lines.clone();
        fewer.remove(at);
        assert!(verify(&join(&fewer)).is_err(), "without line {at}");
    }
    for at in 0..lines.len() - 1 {
        let mut moved = lines.clone();
        moved.swap(at, at + 1);
        assert!(verify(&join(&moved)).is_err(), "line {at} moved");
    }
    for position in 0..export.len() {
        let mut forged = export.clone().into_bytes();
        forged[position] ^= 1;
        let refusal = verify_export(&forged[..], Some(&keys));
        assert!(refusal.is_err(), "byte {position}");
        assert!(verify(&export[..position]).is_err(), "cut at {position}");
    }
    let other = Server::start().await;
    let keys = other.stranger().get("/v1/signing-keys").await;
    let keys = keys.bytes().await.unwrap();
    assert!(verify_export(export.as_bytes(), Some(&keys)).is_err());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.ndjson");
    let run = |text: &str| {
        fs::write(&file, text).unwrap();
        let program = env!("CARGO_BIN_EXE_persguard");
        let mut command = Command::new(program);
        command.args(["audit", "verify"]).arg(&file);
        command.output().unwrap()
    };
    let good = run(&export);
    assert!(good.status.success());
    assert!(String::from_utf8_lossy(&good.stdout).contains("Intact"));
    assert!(
        !run(&export.replacen("created", "removed", 1))
            .status
            .success()
    );
}

#[tokio::test]
async fn endless_lines_are_not_read() {
    let line = "x".repeat(10_000_000);
    assert!(verify_export(line.as_bytes(), None).is_err());
    assert!(verify_export(&b"\xff\xfe\n"[..], None).is_err());
    assert!(verify_export(&b""[..], None).is_err());
    let value = json!({ "entry": {}, "hash": "", "previous_hash": "" });
    let text = Value::to_string(&value) + "\n";
    assert!(verify_export(text.as_bytes(), None).is_err());
}
