//! Partial files: broken off, resumed, hashed, published; and folders of objects.

use std::{fs, io, path::Path};

use artifacts::{ArtifactStore, Error, LocalStore, ObjectHash, Staging};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use crate::conformance::{bytes, get, put};

async fn open(root: &Path) -> (LocalStore, Staging) {
    let store = LocalStore::open(root).await.expect("it opens");
    let staging = store.staging().await.expect("it opens");
    (store, staging)
}

#[tokio::test]
async fn file_arrives_in_parts() {
    let root = TempDir::new().unwrap();
    let (store, staging) = open(root.path()).await;
    let content = bytes(1, 900_000);
    let hash = ObjectHash::of(&content);
    let mut length = 0;
    for part in content.chunks(250_000) {
        length = staging
            .append("k", length, 900_000, &mut &part[..])
            .await
            .unwrap();
        assert_eq!(staging.received("k").await.unwrap(), length);
    }
    assert_eq!(staging.keys().await.unwrap(), ["k"]);
    let published = staging.publish("k", 900_000, Some(hash)).await.unwrap();
    assert_eq!(published, hash);
    assert!(get(&store, hash).await.unwrap() == content);
    assert_eq!(staging.keys().await.unwrap(), [] as [String; 0]);
    assert_eq!(staging.received("k").await.unwrap(), 0);
}

#[tokio::test]
async fn what_arrived_before_a_cut_is_kept_over_a_restart() {
    let root = TempDir::new().unwrap();
    let content = bytes(2, 300_000);
    let hash = ObjectHash::of(&content);
    let (_, staging) = open(root.path()).await;
    let broken = io::Error::new(io::ErrorKind::ConnectionReset, "cut");
    let mut body = breaks_off(&content[..120_000], broken);
    let cut = staging.append("k", 0, 300_000, &mut body).await;
    assert!(matches!(cut, Err(Error::Body(_))));
    assert_eq!(staging.received("k").await.unwrap(), 120_000);
    drop(staging);
    let (store, staging) = open(root.path()).await;
    assert_eq!(staging.received("k").await.unwrap(), 120_000);
    let wrong = staging.append("k", 0, 300_000, &mut &content[..]).await;
    assert!(matches!(
        wrong,
        Err(Error::WrongOffset { received: 120_000 })
    ));
    staging
        .append("k", 120_000, 300_000, &mut &content[120_000..])
        .await
        .unwrap();
    staging.publish("k", 300_000, Some(hash)).await.unwrap();
    assert!(get(&store, hash).await.unwrap() == content);
}

/// A body that ends with an error.
fn breaks_off(start: &[u8], error: io::Error) -> impl tokio::io::AsyncRead + Send + Unpin {
    struct Broken(Option<io::Error>);
    impl tokio::io::AsyncRead for Broken {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(self.0.take().map_or(Ok(()), Err))
        }
    }
    io::Cursor::new(start.to_vec()).chain(Broken(Some(error)))
}

#[tokio::test]
async fn wrong_file_is_removed_and_may_come_again() {
    let root = TempDir::new().unwrap();
    let (store, staging) = open(root.path()).await;
    let hash = ObjectHash::of(b"right");
    staging.append("k", 0, 5, &mut &b"wrong"[..]).await.unwrap();
    let short = staging.publish("k", 6, Some(hash)).await;
    assert!(matches!(
        short,
        Err(Error::SizeMismatch {
            expected: 6,
            received: 5
        })
    ));
    let wrong = staging.publish("k", 5, Some(hash)).await;
    assert!(matches!(wrong, Err(Error::HashMismatch { .. })));
    assert!(!store.exists(hash).await.unwrap());
    assert_eq!(staging.received("k").await.unwrap(), 0);
    staging.append("k", 0, 5, &mut &b"right"[..]).await.unwrap();
    staging.publish("k", 5, Some(hash)).await.unwrap();
}

#[tokio::test]
async fn no_byte_beyond_the_limit_is_kept_and_keys_stay_inside() {
    let root = TempDir::new().unwrap();
    let (_, staging) = open(root.path()).await;
    let mut endless = tokio::io::repeat(7);
    let long = staging.append("k", 0, 1_000_000, &mut endless).await;
    assert!(matches!(
        long,
        Err(Error::SizeMismatch {
            expected: 1_000_000,
            ..
        })
    ));
    assert!(staging.received("k").await.unwrap() <= 1_000_000);
    staging.discard("k").await.unwrap();
    staging.discard("k").await.expect("twice is no harm");
    for key in ["", "..", "a/b", "a.b"] {
        assert!(staging.received(key).await.is_err(), "{key:?}");
    }
}

#[tokio::test]
async fn two_bodies_never_mix() {
    let root = TempDir::new().unwrap();
    let (_, staging) = open(root.path()).await;
    let (mut slow, _sender) = tokio::io::duplex(64);
    let first = staging.clone();
    let task = tokio::spawn(async move { first.append("k", 0, 10, &mut slow).await });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await; // so that it has begun
    let busy = staging.append("k", 0, 10, &mut &b"0123456789"[..]).await;
    assert!(matches!(busy, Err(Error::Busy)));
    let taken_away = staging.discard("k").await;
    assert!(matches!(taken_away, Err(Error::Busy)));
    task.abort();
    assert!(task.await.is_err());
    let mut left = 100;
    while staging
        .append("k", 0, 10, &mut &b"0123456789"[..])
        .await
        .is_err()
        && left > 0
    {
        left -= 1;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(
        staging.received("k").await.unwrap(),
        10,
        "the lock went with the task"
    );
}

#[tokio::test]
async fn a_kept_hash_is_of_that_file_and_of_no_other_by_its_name() {
    let root = TempDir::new().unwrap();
    let (store, first) = open(root.path()).await;
    // As another server beside the same folder.
    let (_, second) = open(root.path()).await;
    let good = ObjectHash::of(b"good!!");
    first.append("k", 0, 6, &mut &b"good!"[..]).await.unwrap();
    second.discard("k").await.unwrap();
    second.append("k", 0, 6, &mut &b"evil!"[..]).await.unwrap();
    first.append("k", 5, 6, &mut &b"!"[..]).await.unwrap();
    let published = first.publish("k", 6, Some(good)).await;
    assert!(
        matches!(published, Err(Error::HashMismatch { received, .. }) if received == ObjectHash::of(b"evil!!")),
        "{published:?}"
    );
    assert_eq!(store.size(good).await.unwrap(), None);
}

#[tokio::test]
async fn folder_shows_objects_under_their_names_and_goes() {
    let root = TempDir::new().unwrap();
    let (store, staging) = open(root.path()).await;
    put(&store, b"one").await.unwrap();
    let hash = ObjectHash::of(b"one");
    let files = vec![
        ("unet/config.json".to_owned(), hash),
        ("a".to_owned(), hash),
    ];
    let folder = staging.lay_out(files).await.unwrap();
    let path = folder.path().to_owned();
    assert_eq!(fs::read(path.join("unet/config.json")).unwrap(), b"one");
    drop(folder);
    assert!(!path.exists());
    assert_eq!(get(&store, hash).await.unwrap(), b"one");
    for name in ["../x", "/x", ""] {
        assert!(
            staging
                .lay_out(vec![(name.to_owned(), hash)])
                .await
                .is_err()
        );
    }
}
