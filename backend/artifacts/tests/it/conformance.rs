//! What every implementation of `ArtifactStore` must do, whatever holds the bytes.

use std::sync::Arc;

use artifacts::{ArtifactStore, Error, ObjectHash, PART_BYTES};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::deliveries;

/// Size of a part.
pub(crate) const PART: usize = 8 * 1024 * 1024;
const _: () = assert!(PART as u64 == PART_BYTES);

/// Bytes that differ by seed.
pub(crate) fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    ChaCha8Rng::seed_from_u64(seed).fill(bytes.as_mut_slice());
    bytes
}

pub(crate) async fn put(store: &dyn ArtifactStore, bytes: &[u8]) -> Result<(), Error> {
    let mut body = bytes;
    let size_bytes = bytes.len() as u64;
    store
        .put(ObjectHash::of(bytes), size_bytes, &mut body)
        .await
}

pub(crate) async fn get(store: &dyn ArtifactStore, hash: ObjectHash) -> Option<Vec<u8>> {
    let mut object = store.open(hash, None).await.expect("the store works")?;
    let mut bytes = Vec::new();
    let read = object.reader.read_to_end(&mut bytes).await;
    read.expect("the object can be read");
    Some(bytes)
}

/// Every check, one after another, on an empty store.
pub(crate) async fn conforms(store: Arc<dyn ArtifactStore>) {
    stores_what_it_was_given(&*store).await;
    refuses_other_bytes(&*store).await;
    refuses_other_sizes(&*store).await;
    refuses_a_body_that_breaks_off(&*store).await;
    reads_ranges(&*store).await;
    takes_one_object_from_many(Arc::clone(&store)).await;
    streams_what_is_larger_than_a_part(&*store).await;
    touches(&*store).await;
    deliveries::conform(Arc::clone(&store)).await;
    lists_and_deletes(&*store).await;
}

async fn streams_what_is_larger_than_a_part(store: &dyn ArtifactStore) {
    let bytes = bytes(7, 2 * PART + 12_345);
    let hash = ObjectHash::of(&bytes);
    let mut lie = bytes.clone();
    *lie.last_mut().unwrap() ^= 1;
    let refused = store.put(hash, lie.len() as u64, &mut lie.as_slice()).await;
    assert!(matches!(refused, Err(Error::HashMismatch { .. })));
    let short = store
        .put(hash, bytes.len() as u64, &mut &bytes[..bytes.len() - 1])
        .await;
    assert!(matches!(short, Err(Error::SizeMismatch { .. })));
    assert!(!store.exists(hash).await.unwrap());
    assert_eq!(store.unfinished().await.unwrap(), [], "no litter");
    put(store, &bytes).await.unwrap();
    assert!(get(store, hash).await.unwrap() == bytes);
}

async fn touches(store: &dyn ArtifactStore) {
    let bytes = bytes(8, 100);
    let hash = ObjectHash::of(&bytes);
    assert!(!store.touch(hash).await.unwrap());
    assert_eq!(store.inspect(hash).await.unwrap(), None);
    put(store, &bytes).await.unwrap();
    let before = store.inspect(hash).await.unwrap().unwrap();
    assert_eq!((before.hash, before.size_bytes), (hash, 100));
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await; // S3 counts in seconds
    assert!(store.touch(hash).await.unwrap());
    let after = store.inspect(hash).await.unwrap().unwrap();
    assert!(after.stored_at > before.stored_at, "{before:?} {after:?}");
    assert!(get(store, hash).await.unwrap() == bytes);
}

async fn stores_what_it_was_given(store: &dyn ArtifactStore) {
    for length in [0, 1, 65_536, 200_001] {
        let bytes = bytes(1, length);
        let hash = ObjectHash::of(&bytes);
        assert!(!store.exists(hash).await.unwrap());
        assert!(store.open(hash, None).await.unwrap().is_none());
        put(store, &bytes).await.unwrap();
        put(store, &bytes).await.expect("a repeat is no error");
        assert_eq!(store.size(hash).await.unwrap(), Some(length as u64));
        assert!(get(store, hash).await.unwrap() == bytes, "{length} bytes");
    }
}

async fn refuses_other_bytes(store: &dyn ArtifactStore) {
    let bytes = bytes(2, 100_000);
    let hash = ObjectHash::of(&bytes);
    let mut lie = bytes.clone();
    lie[99_999] ^= 1;
    let refused = store.put(hash, 100_000, &mut lie.as_slice()).await;
    assert!(matches!(refused, Err(Error::HashMismatch { expected, .. }) if expected == hash));
    assert!(!store.exists(hash).await.unwrap());

    put(store, &bytes).await.unwrap();
    let refused = store.put(hash, 100_000, &mut lie.as_slice()).await;
    let reason = "a known hash is no proof of having the bytes";
    assert!(
        matches!(refused, Err(Error::HashMismatch { .. })),
        "{reason}"
    );
    assert!(get(store, hash).await.unwrap() == bytes);
}

async fn refuses_other_sizes(store: &dyn ArtifactStore) {
    let bytes = bytes(3, 70_000);
    let hash = ObjectHash::of(&bytes);
    let truncated = store.put(hash, 70_000, &mut &bytes[..69_999]).await;
    assert!(matches!(
        truncated,
        Err(Error::SizeMismatch {
            expected: 70_000,
            received: 69_999
        })
    ));
    let mut endless = tokio::io::repeat(7);
    let long = store.put(hash, 70_000, &mut endless).await;
    assert!(matches!(
        long,
        Err(Error::SizeMismatch { expected: 70_000, received }) if received < 200_000
    ));
    let understated = store.put(hash, 69_999, &mut bytes.as_slice()).await;
    assert!(matches!(understated, Err(Error::SizeMismatch { .. })));
    assert!(!store.exists(hash).await.unwrap());
}

async fn refuses_a_body_that_breaks_off(store: &dyn ArtifactStore) {
    let bytes = bytes(4, 10);
    let hash = ObjectHash::of(&bytes);
    let mut body = bytes.as_slice().chain(Broken);
    let refused = store.put(hash, 20, &mut body).await;
    assert!(matches!(refused, Err(Error::Body(_))));
    assert!(!store.exists(hash).await.unwrap());
}

/// A connection that was reset.
struct Broken;

impl AsyncRead for Broken {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Err(std::io::ErrorKind::ConnectionReset.into()))
    }
}

async fn reads_ranges(store: &dyn ArtifactStore) {
    let bytes = bytes(5, 1_000);
    let hash = ObjectHash::of(&bytes);
    put(store, &bytes).await.unwrap();
    for (asked, given) in [
        (0..10, 0..10),
        (990..5_000, 990..1_000),
        (999..1_000, 999..1_000),
    ] {
        let mut object = store.open(hash, Some(asked)).await.unwrap().unwrap();
        assert_eq!(
            (object.size_bytes, object.range.clone()),
            (1_000, given.clone())
        );
        let mut part = Vec::new();
        object.reader.read_to_end(&mut part).await.unwrap();
        let (start, end) = (
            given.start.try_into().unwrap(),
            given.end.try_into().unwrap(),
        );
        let whole: &[u8] = bytes.get::<std::ops::Range<usize>>(start..end).unwrap();
        assert!(part == whole, "{given:?}");
    }
    for asked in [1_000..1_001, 5..5] {
        let refused = store.open(hash, Some(asked)).await;
        assert!(matches!(
            refused,
            Err(Error::OutOfRange {
                size_bytes: 1_000,
                ..
            })
        ));
    }
}

async fn takes_one_object_from_many(store: Arc<dyn ArtifactStore>) {
    let bytes = Arc::new(bytes(6, 300_000));
    let hash = ObjectHash::of(&bytes);
    let senders: Vec<_> = (0..16)
        .map(|_| {
            let (store, bytes) = (Arc::clone(&store), Arc::clone(&bytes));
            tokio::spawn(async move {
                put(&*store, &bytes).await.expect("each sender succeeds");
                get(&*store, hash).await.expect("and finds the object") == *bytes
            })
        })
        .collect();
    for sender in senders {
        assert!(sender.await.unwrap());
    }
}

async fn lists_and_deletes(store: &dyn ArtifactStore) {
    let listed = store.list().await.unwrap();
    assert!(listed.len() >= 5);
    assert!(listed.is_sorted_by(|left, right| left.hash < right.hash));
    for info in listed {
        let object = get(store, info.hash).await.unwrap();
        assert_eq!(ObjectHash::of(&object), info.hash);
        assert_eq!(object.len() as u64, info.size_bytes);
        assert!(info.stored_at.milliseconds() > 0);
        assert!(store.delete(info.hash).await.unwrap());
        assert!(
            !store.delete(info.hash).await.unwrap(),
            "it is gone already"
        );
    }
    assert_eq!(store.list().await.unwrap(), []);
}
