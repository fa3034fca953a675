//! The check of a bucket: everything fine, and each thing wrong.

use artifacts::{ArtifactStore, Finding, KeySource, S3Store, check};
use tempfile::TempDir;

use crate::s3_server::{Fault, S3Server, credentials};

const ORIGIN: &str = "https://guard.example.org";

/// What is to be fixed, by name.
fn to_fix(findings: &[Finding]) -> Vec<(&'static str, String)> {
    let wrong = findings.iter();
    wrong
        .filter_map(|finding| Some((finding.name, finding.outcome.clone().err()?)))
        .collect()
}

#[tokio::test]
async fn everything_is_tried_and_nothing_stays() {
    let root = TempDir::new().unwrap();
    let server = S3Server::with_bucket(root.path()).await;
    server.manners.allow(ORIGIN);
    let findings = check(server.settings(), Some(ORIGIN)).await;
    assert_eq!(to_fix(&findings), []);
    let names: Vec<_> = findings.iter().map(|finding| finding.name).collect();
    let all = "bucket put get range checksum multipart uploads presign cors delete";
    assert_eq!(names.join(" "), all);
    let checksum = findings[4].outcome.as_ref().unwrap();
    assert!(checksum.contains("never pass the server"), "{checksum}");
    let store = S3Store::open(server.settings()).unwrap();
    assert_eq!(store.list().await.unwrap(), []);
    assert_eq!(store.unfinished().await.unwrap(), []);
}

#[tokio::test]
async fn wrong_key_missing_bucket_and_dead_address_are_told() {
    let root = TempDir::new().unwrap();
    let server = S3Server::with_bucket(root.path()).await;
    let mut settings = server.settings();
    let mut keys = credentials();
    keys.secret_access_key = "wrong".into();
    settings.keys = KeySource::Fixed(keys);
    let findings = to_fix(&check(settings, None).await);
    assert_eq!(findings.len(), 1);
    assert!(
        findings[0].1.contains("SignatureDoesNotMatch"),
        "{findings:?}"
    );
    assert!(
        findings[0].1.contains("check the access key"),
        "{findings:?}"
    );
    let mut settings = server.settings();
    settings.bucket = "absent".into();
    let findings = to_fix(&check(settings, None).await);
    assert!(findings[0].1.contains("create the bucket"), "{findings:?}");
    let mut settings = server.settings();
    settings.endpoint = "http://127.0.0.1:1".into();
    let findings = to_fix(&check(settings, None).await);
    assert!(findings[0].1.contains("check the endpoint"), "{findings:?}");
    let mut settings = server.settings();
    settings.prefix = "no folder".into();
    let findings = to_fix(&check(settings, None).await);
    assert_eq!(findings[0].0, "settings");
}

#[tokio::test]
async fn skewed_clock_is_told() {
    let root = TempDir::new().unwrap();
    std::fs::create_dir(root.path().join(crate::s3_server::BUCKET)).unwrap();
    // A server that tolerates no difference finds one in every request.
    let server = S3Server::start_with(root.path(), 0).await;
    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    let findings = to_fix(&check(server.settings(), None).await);
    assert_eq!(findings.len(), 1);
    assert!(findings[0].1.contains("clock"), "{findings:?}");
    assert!(findings[0].1.contains("NTP"), "{findings:?}");
}

#[tokio::test]
async fn page_that_may_not_upload_and_uploads_that_are_not_listed_are_told() {
    let root = TempDir::new().unwrap();
    let server = S3Server::with_bucket(root.path()).await;
    server.manners.allow("https://other.example.org");
    server
        .manners
        .order("uploads=", Fault::Refuse(501, "NotImplemented"));
    // The first request with `uploads` begins an upload in parts; only the listing is to fail.
    let begun = Fault::Refuse(501, "NotImplemented");
    server.manners.order("GET /artifacts/?", begun);
    let findings = to_fix(&check(server.settings(), Some(ORIGIN)).await);
    let names: Vec<_> = findings.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["multipart", "uploads", "cors"]);
    assert!(findings[1].1.contains("lifecycle rule"), "{findings:?}");
    assert!(findings[2].1.contains(ORIGIN), "{findings:?}");
    assert!(
        findings[2].1.contains("x-amz-checksum-sha256"),
        "{findings:?}"
    );
}
