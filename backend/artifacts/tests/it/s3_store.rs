//! The store in a bucket: the conformance suite on real servers, addresses, limits and encryption.

use std::sync::Arc;

use artifacts::{ArtifactStore, Encryption, Error, KeySource, ObjectHash, S3Settings, S3Store};
use bytes::Bytes;
use shared::model_import::S3Credentials;
use tempfile::TempDir;

use crate::{
    conformance::{bytes, conforms, get, put},
    deliveries::{delivery, send_parts},
    garage::Garage,
    s3_server::S3Server,
};

async fn server() -> (TempDir, S3Server) {
    let root = TempDir::new().expect("a directory can be made");
    let server = S3Server::with_bucket(root.path()).await;
    (root, server)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn store_in_a_bucket_conforms() {
    let (_root, server) = server().await;
    let store = S3Store::open(server.settings()).unwrap();
    conforms(Arc::new(store)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn store_on_garage_conforms() {
    let Some(garage) = Garage::start().await else {
        println!(
            "SKIPPED store_on_garage_conforms: there is no `garage` on the path (`cargo install --locked garage`)"
        );
        return;
    };
    let store = S3Store::open(garage.settings()).unwrap();
    conforms(Arc::new(store)).await;
}

#[expect(
    clippy::disallowed_methods,
    reason = "it names the server of an optional test"
)]
/// `PERSGUARD_TEST_S3=endpoint,region,bucket,access key,secret key` names another server.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn store_on_the_named_server_conforms() {
    let Ok(named) = std::env::var("PERSGUARD_TEST_S3") else {
        println!("SKIPPED store_on_the_named_server_conforms: PERSGUARD_TEST_S3 names no server");
        return;
    };
    let parts: Vec<&str> = named.split(',').collect();
    let [endpoint, region, bucket, access, secret] = parts[..] else {
        panic!("PERSGUARD_TEST_S3 is endpoint,region,bucket,access key,secret key");
    };
    let store = S3Store::open(S3Settings {
        endpoint: endpoint.into(),
        public_endpoint: None,
        region: region.into(),
        bucket: bucket.into(),
        prefix: format!("test-{}/", std::process::id()),
        path_style: true,
        keys: KeySource::Fixed(S3Credentials {
            access_key_id: access.into(),
            secret_access_key: secret.into(),
            session_token: None,
        }),
        encryption: None,
    });
    conforms(Arc::new(store.unwrap())).await;
}

#[tokio::test]
async fn large_objects_are_published_in_parts() {
    let (_root, server) = server().await;
    let limit = 6 * 1024 * 1024;
    let store = S3Store::open(server.settings())
        .unwrap()
        .with_single_bytes(limit);
    let bytes = Bytes::from(bytes(1, 13 * 1024 * 1024));
    let upload = store.begin(&delivery(&bytes, "job")).await.unwrap();
    send_parts(&store, &upload, &bytes).await;
    store.complete(&upload).await.unwrap();
    let hash = upload.delivery.hash;
    assert!(get(&store, hash).await.unwrap() == bytes);
    assert!(store.touch(hash).await.unwrap());
    assert!(get(&store, hash).await.unwrap() == bytes);
    assert_eq!(store.unfinished().await.unwrap(), []);
    let copies = server.manners.seen();
    let copies = copies
        .iter()
        .filter(|seen| seen.starts_with("PUT") && seen.contains("/objects/"));
    assert_eq!(copies.count(), 6, "three parts each");
}

#[tokio::test]
async fn settings_go_into_addresses_and_requests() {
    let mut settings = server().await.1.settings();
    settings.public_endpoint = Some("https://files.example.org".into());
    settings.encryption = Some(Encryption::Kms(Some("key-1".into())));
    settings.keys = KeySource::Fixed(S3Credentials {
        access_key_id: "A".into(),
        secret_access_key: "B".into(),
        session_token: Some("token/1".into()),
    });
    let lifetime = std::time::Duration::from_secs(90);
    let store = S3Store::open(settings.clone()).unwrap();
    let put = store
        .sign_put(&delivery(b"x", "s"), lifetime)
        .await
        .unwrap()
        .unwrap();
    let start = "https://files.example.org/artifacts/persguard/uploads/";
    assert!(put.url.starts_with(start), "{}", put.url);
    assert!(put.url.contains("X-Amz-Security-Token=token%2F1"));
    assert!(put.url.contains("X-Amz-Expires=90"));
    assert_eq!(put.headers["x-amz-server-side-encryption"], "aws:kms");
    assert_eq!(
        put.headers["x-amz-server-side-encryption-aws-kms-key-id"],
        "key-1"
    );
    assert!(put.headers.contains_key("x-amz-checksum-sha256"));
    settings.path_style = false;
    let store = S3Store::open(settings.clone()).err();
    assert!(
        store.is_none(),
        "a virtual host needs a name, which only a request knows"
    );
    settings.endpoint = "https://s3.example.org".into();
    let store = S3Store::open(settings.clone()).unwrap();
    let hash = ObjectHash::of(b"x");
    let get = store.sign_get(hash, lifetime).await.unwrap().unwrap();
    let start = "https://artifacts.files.example.org/persguard/objects/2d/";
    assert!(get.url.starts_with(start), "{}", get.url);
    for prefix in ["/x/", "x", "a b/"] {
        settings.prefix = prefix.into();
        let refused = S3Store::open(settings.clone());
        assert!(matches!(refused, Err(Error::Settings(_))), "{prefix}");
    }
    assert!(!format!("{store:?}").contains("token"));
}

#[tokio::test]
async fn other_keys_in_the_bucket_are_left_alone() {
    let (root, server) = server().await;
    let bucket = root.path().join(crate::s3_server::BUCKET);
    for other in ["persguard/objects/x", "persguard/uploads/note", "mine"] {
        let path = bucket.join(other);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"somebody's").unwrap();
    }
    let store = S3Store::open(server.settings()).unwrap();
    assert_eq!(store.list().await.unwrap(), []);
    assert_eq!(store.unfinished().await.unwrap(), []);
    put(&store, b"ours").await.unwrap();
    assert_eq!(store.list().await.unwrap().len(), 1);
}
