//! Reading from a bucket, against a real server.

use std::fs;

use artifacts::{Bucket, BucketError, BucketPlace, Error, LocalStore, ObjectHash};
use shared::model_import::S3Credentials;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use crate::{
    conformance::{bytes, get},
    s3_server::{S3Server, credentials},
};

/// A server with one bucket, `models`, that holds `m/unet/a` of so many bytes.
async fn server(length: usize) -> (TempDir, S3Server, Vec<u8>) {
    let root = TempDir::new().expect("a directory can be made");
    let folder = root.path().join("models/m/unet");
    fs::create_dir_all(&folder).expect("a bucket is a folder");
    let content = bytes(9, length);
    fs::write(folder.join("a"), &content).expect("an object is a file");
    fs::write(root.path().join("models/other"), b"x").expect("an object is a file");
    let server = S3Server::start(root.path()).await;
    (root, server, content)
}

fn open(server: &S3Server, credentials: Option<&S3Credentials>) -> Bucket {
    let place = BucketPlace {
        endpoint: server.endpoint.clone(),
        region: "us-east-1".into(),
        bucket: "models".into(),
    };
    Bucket::open(&place, credentials).expect("the settings are fine")
}

#[tokio::test]
async fn objects_are_listed_and_read_in_parts() {
    let (_root, server, content) = server(100_000).await;
    let bucket = open(&server, Some(&credentials()));
    let objects = bucket.list("m/", 10).await.unwrap();
    assert_eq!(objects.len(), 1);
    assert_eq!(
        (objects[0].key.as_str(), objects[0].size_bytes),
        ("m/unet/a", 100_000)
    );
    let mut part = Vec::new();
    let etag = objects[0].etag.as_deref();
    let mut reader = bucket.read("m/unet/a", 10..70_000, etag).await.unwrap();
    reader.read_to_end(&mut part).await.unwrap();
    assert!(part == content[10..70_000]);
    let many = bucket.list("", 1).await;
    assert!(matches!(many, Err(BucketError::TooMany(1))));
}

#[tokio::test]
async fn refusals_say_what_is_wrong() {
    let (_root, server, _) = server(10).await;
    let mut keys = credentials();
    keys.secret_access_key = "wrong".into();
    let denied = open(&server, Some(&keys)).list("", 10).await;
    assert!(matches!(denied, Err(BucketError::Denied(_))), "{denied:?}");
    let anonymous = open(&server, None).list("", 10).await;
    assert!(matches!(anonymous, Err(BucketError::Denied(_))));
    let bucket = open(&server, Some(&credentials()));
    let missing = bucket.read("nothing", 0..1, None).await.err();
    assert!(matches!(missing, Some(BucketError::Missing(_))));
    let changed = bucket.read("m/unet/a", 0..10, Some("other")).await.err();
    assert!(matches!(changed, Some(BucketError::Changed(_))));
    let place = BucketPlace {
        endpoint: "http://127.0.0.1:1".into(),
        region: "us-east-1".into(),
        bucket: "models".into(),
    };
    let dead = Bucket::open(&place, None).unwrap().list("", 10).await;
    assert!(matches!(dead, Err(BucketError::Unreachable(_))), "{dead:?}");
    assert!(!format!("{:?}", open(&server, Some(&credentials()))).contains("secret"));
}

#[tokio::test]
async fn cut_download_goes_on_where_it_stopped() {
    let (_root, server, content) = server(2_000_000).await;
    let bucket = open(&server, Some(&credentials()));
    let root = TempDir::new().unwrap();
    let store = LocalStore::open(root.path()).await.unwrap();
    let staging = store.staging().await.unwrap();
    server.break_after(700_000);
    let mut reader = bucket.read("m/unet/a", 0..2_000_000, None).await.unwrap();
    let cut = staging.append("k", 0, 2_000_000, &mut *reader).await;
    assert!(matches!(cut, Err(Error::Body(_))), "{cut:?}");
    assert!(server.has_broken());
    let received = staging.received("k").await.unwrap();
    assert!((1..700_000).contains(&received), "{received}");
    let rest = received..2_000_000;
    let mut reader = bucket.read("m/unet/a", rest, None).await.unwrap();
    let length = staging
        .append("k", received, 2_000_000, &mut *reader)
        .await
        .unwrap();
    assert_eq!(length, 2_000_000);
    let hash = staging.publish("k", 2_000_000, None).await.unwrap();
    assert_eq!(hash, ObjectHash::of(&content));
    assert!(get(&store, hash).await.unwrap() == content);
}
