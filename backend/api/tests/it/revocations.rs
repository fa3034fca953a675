//! Revocations: signed when a protection was removed, listed, and verified without the server.

use std::process::{Command, Output};

use reqwest::StatusCode;
use serde_json::json;
use shared::{
    artifact::{Artifact, ArtifactKind},
    job::Job,
    page::Page,
    revocation::{PublishedRevocation, SigningKeys},
};

use crate::{
    concepts::protected,
    scripted::{protect, succeeded},
    support::{Person, Server, body, concept, refused},
};

/// A dog and a cat are protected; then the cat's protection is removed.
async fn removed(person: &Person<'_>) -> (Job, Job) {
    let (dog, cat) = (
        person.sealed_set("dog").await,
        person.sealed_set("cat").await,
    );
    let mut spec = person.spec(&dog).await;
    let mut second = concept(&cat);
    second["class_name"] = json!("cat");
    spec["concepts"] = json!([concept(&dog), second]);
    let first = protected(person, &spec, "first").await;
    spec["extends"] = json!(first.id);
    spec["concepts"][1]["action"] = json!("remove");
    let second = protected(person, &spec, "second").await;
    // The cat stays removed in what follows: that is no second revocation.
    spec["extends"] = json!(second.id);
    protected(person, &spec, "third").await;
    (first, second)
}

fn verify(file: &[u8], keys: &[u8]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let (at, key) = (
        folder.path().join("revocation.json"),
        folder.path().join("keys.json"),
    );
    std::fs::write(&at, file).expect("a file");
    std::fs::write(&key, keys).expect("a file");
    Command::new(env!("CARGO_BIN_EXE_persguard"))
        .args(["revocation", "verify"])
        .arg(at)
        .arg("--key")
        .arg(key)
        .output()
        .expect("the program runs")
}

#[tokio::test]
async fn removal_is_signed_once_and_anybody_can_verify_it() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let (first, second) = removed(&person).await;
    let page: Page<PublishedRevocation> = person.read("/v1/revocations").await;
    assert_eq!(page.data.len(), 1, "{page:?}");
    let published = &page.data[0];
    let found = &published.revocation.document;
    assert_eq!(
        (found.class_name.as_str(), found.objective.as_str()),
        ("cat", "target")
    );
    assert_eq!((found.earlier_job_id, found.job_id), (first.id, second.id));
    assert_eq!(found.base_sha256, person.model().await.sha256);
    let files: Page<Artifact> = person.read(&second.urls.artifacts).await;
    let of_kind = |kind| files.data.iter().find(|file| file.kind == kind).cloned();
    let unet = of_kind(ArtifactKind::ProtectedUnet).expect("weights");
    assert_eq!(found.unet_sha256, unet.sha256);
    let file = of_kind(ArtifactKind::Revocation).expect("it is published with its job");
    assert_eq!(
        (file.id, file.url.as_str()),
        (published.id, published.url.as_str())
    );
    assert_eq!(file.name, "revocation-01.json");

    let response = person.get(&file.url).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    let bytes = response.bytes().await.expect("bytes");
    let keys = server.stranger().get("/v1/signing-keys").await;
    let keys = keys.bytes().await.expect("bytes");
    let known: SigningKeys = serde_json::from_slice(&keys).expect("keys");
    assert_eq!(known.keys[0].key_id, found.key_id);
    let valid = verify(&bytes, &keys);
    assert!(valid.status.success(), "{valid:?}");
    let told = String::from_utf8_lossy(&valid.stdout).into_owned();
    assert!(
        told.starts_with("Valid.") && told.contains("sks cat"),
        "{told}"
    );
    let forged = String::from_utf8_lossy(&bytes).replace("\"cat\"", "\"dog\"");
    let forged = verify(forged.as_bytes(), &keys);
    assert!(!forged.status.success());
    let told = String::from_utf8_lossy(&forged.stderr).into_owned();
    assert!(told.contains("`class_name` was changed"), "{told}");
    assert!(!verify(&bytes[..bytes.len() / 2], &keys).status.success());

    let eve = server.person("eve").await;
    let theirs: Page<PublishedRevocation> = eve.read("/v1/revocations").await;
    assert!(theirs.data.is_empty());
    refused(eve.get(&file.url).await, 404, "not_found").await;
    let stranger = server.stranger();
    refused(
        stranger.get("/v1/revocations").await,
        401,
        "unauthenticated",
    )
    .await;
    let page = page.next_cursor.unwrap_or_default();
    refused(
        person.get("/v1/revocations?after=x").await,
        400,
        "malformed",
    )
    .await;
    assert!(page.is_empty());
}

#[tokio::test]
async fn key_outlives_the_server_and_is_not_that_of_tokens() {
    let server = Server::start().await;
    let keys: SigningKeys = server.stranger().read("/v1/signing-keys").await;
    let tokens: serde_json::Value = server.stranger().read("/.well-known/jwks.json").await;
    assert_ne!(json!(keys.keys[0].public_key), tokens["keys"][0]["x"]);
    let again = Server::start_in(server.stop().await, |_| ()).await;
    let same: SigningKeys = again.stranger().read("/v1/signing-keys").await;
    assert_eq!(keys, same);
}

#[tokio::test]
async fn node_cannot_publish_a_revocation_itself() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let job: Job = person.job().await;
    let node = server.node();
    let lease = node.lease().await;
    node.beat(&lease, json!([])).await;
    let weights = node.store(&lease, b"weights").await;
    let forged = node.store(&lease, b"{}").await;
    let outputs = json!([
        { "kind": "protected_unet", "name": "unet", "sha256": weights, "size_bytes": 7 },
        { "kind": "revocation", "name": "revocation-00.json", "sha256": forged, "size_bytes": 2 },
    ]);
    let refused = node.finish(&lease, succeeded(&outputs)).await;
    assert_eq!(refused, StatusCode::UNPROCESSABLE_ENTITY);
    protect(&node, &lease).await;
    let response = person.get("/v1/revocations").await;
    let page: Page<PublishedRevocation> = body(response, StatusCode::OK).await;
    assert!(page.data.is_empty());
    assert_eq!(
        person.read::<Job>(&job.urls.own).await.evaluation_ids.len(),
        1
    );
}
