//! The whole path with a bucket: browsers and nodes send and fetch past the server, which only compares and names.

use std::{fs, path::Path};

use api::{config::storage::StorageConfig, storage_check};
use reqwest::StatusCode;
use serde_json::json;
use sha2::{Digest, Sha256};
use shared::{
    artifact::Artifact,
    image::ProtectedImage,
    node::InputRole,
    page::Page,
    storage_check::{StorageCheck, StoragePlace},
    upload::{Upload, UploadStatus},
};
use tempfile::TempDir;

use crate::{
    kills::count,
    s3_server::{ACCESS_KEY, BUCKET, S3Server, SECRET_KEY},
    scripted::{collateral, evaluation_outputs, protect, report, succeeded},
    support::{Server, body, png, refused},
};

fn config(storage: &S3Server) -> StorageConfig {
    StorageConfig {
        bucket: Some(BUCKET.into()),
        endpoint: Some(storage.endpoint.clone()),
        region: "us-east-1".into(),
        prefix: "here/".into(),
        path_style: true,
        access_key_id: Some(ACCESS_KEY.into()),
        secret_access_key: Some(SECRET_KEY.into()),
        ..StorageConfig::default()
    }
}

pub(crate) async fn start() -> (TempDir, S3Server, Server) {
    let root = tempfile::tempdir().expect("a temporary directory");
    let storage = S3Server::with_bucket(root.path()).await;
    let configured = config(&storage);
    let server = Server::start_with(|config| config.storage = configured).await;
    (root, storage, server)
}

/// SHA-256 of every file below a folder.
fn hashes(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let found = paths.flat_map(|path| {
        if path.is_dir() {
            return hashes(&path);
        }
        let bytes = fs::read(&path).unwrap_or_default();
        vec![hex::encode(Sha256::digest(bytes))]
    });
    found.collect()
}

#[tokio::test]
async fn uploads_and_weights_never_pass_the_server() {
    let (root, storage, server) = start().await;
    let person = server.person("ada").await;
    let job = person.job().await; // three pictures, sent to the bucket
    let node = server.node();
    let lease = node.lease().await;
    for input in &lease.inputs {
        // What is sealed is opened by the server; everything else comes from the bucket.
        let opened = input.role == InputRole::ProtectedImage;
        let own = input.url.starts_with("/blobs/");
        let from_bucket = input.url.starts_with(&storage.endpoint);
        assert!(if opened { own } else { from_bucket }, "{}", input.url);
        let bytes = node.download(&input.url).await;
        assert_eq!(bytes.len() as u64, input.size_bytes);
    }
    let resume = b"state after step 40".to_vec();
    let sha256 = node.store(&lease, &resume).await;
    let request =
        json!({ "token": lease.token, "step": 40, "sha256": sha256, "size_bytes": resume.len() });
    let saved = node.post(&lease, "resume", &request).await;
    assert_eq!(saved.status(), StatusCode::NO_CONTENT);
    protect(&node, &lease).await;
    // Weights leave once their side effects were measured.
    let lease = node.lease().await;
    let mut file = report();
    file["collateral"] = collateral();
    let outputs = evaluation_outputs(&node, &lease, file.to_string().as_bytes()).await;
    let finished = node.finish(&lease, succeeded(&outputs)).await;
    assert_eq!(finished, StatusCode::NO_CONTENT);
    let artifacts: Page<Artifact> = person.read(&job.urls.artifacts).await;
    let weights = person.get(&artifacts.data[0].url).await;
    assert_eq!(weights.status(), StatusCode::OK);
    assert_eq!(weights.bytes().await.unwrap(), "not really weights");
    let bucket = root.path().join(BUCKET).join("here");
    assert!(count(&bucket.join("objects")) >= 5);
    assert_eq!(count(&bucket.join("uploads")), 0, "everything was accepted");
    let local = server.data_dir().join("artifacts");
    assert_eq!(count(&local), 0, "nothing lies on the server");
    let deliveries = storage.manners.seen();
    let sent = deliveries.iter().filter(|seen| {
        seen.starts_with("PUT /artifacts/here/uploads/") && !seen.contains("partNumber")
    });
    let what = "three pictures, a state, the weights, a report and its two pictures";
    assert_eq!(sent.count(), 8, "{what}");
}

#[tokio::test]
async fn hash_alone_brings_nobody_a_picture() {
    let (_root, storage, server) = start().await;
    let ada = server.person("ada").await;
    let bytes = png(64, 64, 9);
    let set = ada.set("mine").await;
    let upload: Upload = body(
        ada.announce(&set, "a.png", &bytes).await,
        StatusCode::CREATED,
    )
    .await;
    assert_eq!(ada.send(&upload, &bytes).await.status(), StatusCode::OK);
    let eve = server.person("eve").await;
    let stolen = eve.set("theirs").await;
    let claim: Upload = body(
        eve.announce(&stolen, "a.png", &bytes).await,
        StatusCode::CREATED,
    )
    .await;
    let path = format!("/v1/uploads/{}/complete", claim.id);
    refused(eve.post(&path, &json!({})).await, 409, "conflict").await;
    let other = eve.send(&claim, &png(64, 64, 10)).await;
    assert!(other.status().is_client_error(), "the hash is signed");
    refused(eve.post(&path, &json!({})).await, 409, "conflict").await;
    let own = format!("/v1/uploads/{}/complete", upload.id);
    let done: Upload = body(ada.post(&own, &json!({})).await, StatusCode::OK).await;
    assert_eq!(done.status, UploadStatus::Completed);
    let again: Upload = body(ada.post(&own, &json!({})).await, StatusCode::OK).await;
    assert_eq!(
        again.image.map(|image: ProtectedImage| image.id),
        done.image.map(|image| image.id)
    );
    assert!(upload.url.starts_with(&storage.endpoint));
    refused(eve.post(&path, &json!({})).await, 409, "conflict").await;
}

#[tokio::test]
async fn pages_may_send_to_the_bucket_and_nowhere_else() {
    let (_root, storage, server) = start().await;
    let answer = server.stranger().get("/v1/nothing").await;
    let policy = answer.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    let wanted = format!("connect-src 'self' {};", storage.endpoint);
    assert!(policy.contains(&wanted), "{policy}");
}

#[tokio::test]
async fn check_says_ok_or_what_to_fix() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let storage = S3Server::with_bucket(root.path()).await;
    let origin = Some("https://guard.example.org/");
    let mut out = Vec::new();
    storage.manners.allow("https://guard.example.org");
    let good = storage_check::run(&config(&storage), origin, &mut out).await;
    let text = String::from_utf8(out).unwrap();
    assert!(good.is_ok(), "{text}");
    assert_eq!(
        text.lines().filter(|line| line.starts_with("ok ")).count(),
        10,
        "{text}"
    );
    let mut out = Vec::new();
    let wrong = StorageConfig {
        secret_access_key: Some("wrong".into()),
        ..config(&storage)
    };
    let bad = storage_check::run(&wrong, origin, &mut out).await;
    let text = String::from_utf8(out).unwrap();
    assert!(bad.is_err(), "{text}");
    assert!(text.starts_with("FIX bucket"), "{text}");
    assert!(
        storage_check::run(&StorageConfig::default(), None, &mut Vec::new())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn page_of_administrators_tries_the_store_from_both_sides() {
    let (_root, _storage, server) = start().await;
    let admin = server.confirmed("admin").await;
    let ada = server.person("ada").await;
    refused(
        ada.post("/v1/admin/storage-checks", &json!({})).await,
        403,
        "forbidden",
    )
    .await;
    let found: StorageCheck = body(
        admin.post("/v1/admin/storage-checks", &json!({})).await,
        StatusCode::OK,
    )
    .await;
    assert_eq!(found.place, StoragePlace::Bucket);
    let works = |name: &str| {
        found
            .findings
            .iter()
            .find(|finding| finding.name == name)
            .map(|finding| finding.works)
    };
    assert_eq!(
        (works("put"), works("multipart"), works("presign")),
        (Some(true), Some(true), Some(true))
    );
    assert_eq!(
        works("cors"),
        Some(false),
        "this service has no rule for the page"
    );
    // What the browser does, without a browser's rules.
    let client = reqwest::Client::new();
    let probe = &found.browser;
    assert!(probe.put_url.starts_with("http") && probe.get_url.starts_with("http"));
    let mut put = client.put(&probe.put_url).body(probe.text.clone());
    for (name, value) in &probe.put_headers {
        put = put.header(name, value);
    }
    assert!(put.send().await.unwrap().status().is_success());
    assert_eq!(
        client
            .get(&probe.get_url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap(),
        probe.text
    );
    let remove = |sha256: &str| {
        admin
            .request(
                reqwest::Method::DELETE,
                &format!("/v1/admin/storage-probes/{sha256}"),
            )
            .send()
    };
    assert_eq!(
        remove(&found.probe_sha256).await.unwrap().status(),
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        client.get(&probe.get_url).send().await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
    refused(remove("not-a-hash").await.unwrap(), 404, "not_found").await;
}

#[tokio::test]
async fn directory_is_tried_too_and_nothing_in_use_is_removed() {
    let server = Server::start().await;
    let admin = server.confirmed("admin").await;
    let set = admin.sealed_set("x").await;
    let found: StorageCheck = body(
        admin.post("/v1/admin/storage-checks", &json!({})).await,
        StatusCode::OK,
    )
    .await;
    assert_eq!(found.place, StoragePlace::Directory);
    assert!(
        found
            .findings
            .iter()
            .all(|finding| finding.works || finding.name == "space"),
        "{found:?}"
    );
    assert!(found.objects > 6 && found.bytes > 0);
    for sha256 in hashes(&server.data_dir().join("artifacts")) {
        let path = format!("/v1/admin/storage-probes/{sha256}");
        let done = admin
            .request(reqwest::Method::DELETE, &path)
            .send()
            .await
            .unwrap();
        assert_eq!(done.status(), StatusCode::NO_CONTENT);
    }
    let image = &set.images[0];
    assert_eq!(admin.get(&image.url).await.status(), StatusCode::OK);
}
