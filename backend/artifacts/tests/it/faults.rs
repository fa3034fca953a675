//! Faults of the service, of the line and of the disk: nothing is lost, half visible or left behind.

use std::{collections::HashMap, fs, time::Duration};

use artifacts::{ArtifactStore, Error, KeySource, ObjectHash, S3Store};
use bytes::Bytes;
use tempfile::TempDir;

use crate::{
    conformance::{PART, bytes, get, put},
    deliveries::{delivery, send_parts},
    s3_server::{ACCESS_KEY, BUCKET, Fault, S3Server},
    tally::Tally,
};

const LARGE: usize = PART + 50_000;

struct World {
    _root: TempDir,
    server: S3Server,
    store: S3Store,
    named: HashMap<ObjectHash, u64>,
    tally: Tally,
}

impl World {
    async fn new() -> Self {
        let root = TempDir::new().expect("a directory can be made");
        let server = S3Server::with_bucket(root.path()).await;
        let store = S3Store::open(server.settings()).expect("the settings are fine");
        Self {
            _root: root,
            server,
            store,
            named: HashMap::new(),
            tally: Tally::default(),
        }
    }

    /// Stores bytes that must be there from now on.
    async fn put(&mut self, seed: u64, length: usize) -> ObjectHash {
        let bytes = bytes(seed, length);
        put(&self.store, &bytes)
            .await
            .expect("it is stored in the end");
        let hash = ObjectHash::of(&bytes);
        self.named.insert(hash, length as u64);
        hash
    }

    async fn end(mut self) {
        assert_eq!(self.server.manners.left(), 0, "every fault happened");
        assert!(self.server.line.up.is_quiet() && self.server.line.down.is_quiet());
        self.tally.settle(&self.store, &self.named).await;
        self.tally.tell();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_fail_or_whose_answer_is_lost_are_asked_again() {
    let mut world = World::new().await;
    let failures = [(500, "InternalError"), (503, "SlowDown"), (429, "SlowDown")];
    let requests = ["PUT ", "POST ", "partNumber=2", "HEAD ", "GET "];
    for (seed, request) in (1..).zip(requests) {
        for (more, (status, code)) in failures.into_iter().enumerate() {
            for fault in [Fault::Refuse(status, code), Fault::Forget(status, code)] {
                world.server.manners.order(request, fault);
                world.tally.faults += 1;
            }
            let seed = seed * 10 + more as u64;
            let length = if request == "PUT " { 1_000 } else { LARGE };
            let hash = world.put(seed, length).await;
            assert_eq!(get(&world.store, hash).await.unwrap().len(), length);
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answer_that_began_as_a_success_is_none_without_a_tag() {
    let mut world = World::new().await;
    // Services begin to answer a completion or a copy before they are done.
    for (seed, fault) in (1..).zip([Fault::Refuse(200, "InternalError"), Fault::Hollow]) {
        // Parts have their number before it.
        world.server.manners.order("?uploadId=", fault);
        let large = bytes(seed, LARGE);
        let told = put(&world.store, &large).await;
        let stored = world.store.size(ObjectHash::of(&large)).await.unwrap();
        assert_eq!(told.is_ok(), stored.is_some(), "{fault:?}: {told:?}");
        world.put(seed, LARGE).await;

        let bytes = Bytes::from(bytes(seed + 10, 2_000));
        let upload = world.store.begin(&delivery(&bytes, "job")).await.unwrap();
        let sent = world.store.write_part(&upload, 1, bytes.clone()).await;
        sent.unwrap();
        let copy = "PUT /artifacts/persguard/objects/";
        world.server.manners.order(copy, fault);
        let refused = world.store.complete(&upload).await;
        assert!(refused.is_err(), "{fault:?}");
        let stored = world.store.size(upload.delivery.hash).await.unwrap();
        assert_eq!(stored, None, "{fault:?}");
        // What was sent is still there.
        world.store.complete(&upload).await.unwrap();
        world.named.insert(upload.delivery.hash, 2_000);
        world.tally.faults += 2;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_around_a_delivery_do_no_harm() {
    let mut world = World::new().await;
    let requests = [
        "uploads=",
        "uploadId=",
        "PUT /artifacts/persguard/objects/",
        "DELETE ",
    ];
    for (seed, request) in (1..).zip(requests) {
        let bytes = Bytes::from(bytes(seed, 2_000));
        for fault in [
            Fault::Refuse(500, "InternalError"),
            Fault::Forget(500, "InternalError"),
        ] {
            world.server.manners.order(request, fault);
            world.tally.faults += 1;
        }
        let upload = world.store.begin(&delivery(&bytes, "job")).await.unwrap();
        let sent = world.store.write_part(&upload, 1, bytes.clone()).await;
        sent.unwrap();
        world.store.complete(&upload).await.unwrap();
        world.named.insert(upload.delivery.hash, 2_000);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn line_that_breaks_crawls_or_damages_is_survived() {
    let mut world = World::new().await;
    world.server.line.up.break_after(3_000_000);
    world.put(1, LARGE).await;
    world.server.line.up.break_after(50_000);
    world.put(2, 90_000).await;
    world.server.line.up.damage_after(3_000_000);
    world.put(3, LARGE).await;
    world.server.line.up.damage_after(50_000);
    world.put(4, 90_000).await;
    world.tally.faults += 4;
    let hash = world.put(5, LARGE).await;
    for cut in [1_000, 1_000_000, 8_000_000] {
        world.server.line.down.break_after(cut);
        assert!(get(&world.store, hash).await.unwrap() == bytes(5, LARGE));
        world.tally.faults += 1;
    }
    world.server.line.down.damage_after(4_000_000);
    let mut object = world.store.open(hash, None).await.unwrap().unwrap();
    let read = tokio::io::copy(&mut object.reader, &mut tokio::io::sink()).await;
    assert!(read.unwrap_err().to_string().contains("damaged"));
    let pause = &world.server.line.pause;
    pause.store(5, std::sync::atomic::Ordering::SeqCst);
    world.tally.faults += 2;
    let hash = world.put(6, 2_000_000).await;
    assert!(get(&world.store, hash).await.unwrap() == bytes(6, 2_000_000));
    world
        .server
        .line
        .pause
        .store(0, std::sync::atomic::Ordering::SeqCst);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_that_stays_down_fails_in_the_end_and_leaves_nothing() {
    let mut world = World::new().await;
    for (request, length) in [("PUT ", 1_000), ("partNumber=2", LARGE)] {
        for _ in 0..6 {
            let fault = Fault::Refuse(503, "SlowDown");
            world.server.manners.order(request, fault);
        }
        let refused = put(&world.store, &bytes(1, length)).await;
        assert!(
            matches!(refused, Err(Error::Unreachable { .. })),
            "{refused:?}"
        );
        assert_eq!(world.store.unfinished().await.unwrap(), []);
        world.tally.faults += 1;
    }
    world
        .server
        .manners
        .order("PUT ", Fault::Refuse(507, "InsufficientStorage"));
    let full = put(&world.store, &bytes(1, 1_000)).await;
    assert!(matches!(full, Err(Error::NoSpace)), "{full:?}");
    world
        .server
        .manners
        .order("PUT ", Fault::Refuse(403, "RequestTimeTooSkewed"));
    let skewed = put(&world.store, &bytes(1, 1_000)).await;
    assert!(matches!(skewed, Err(Error::ClockSkew { .. })), "{skewed:?}");
    world.tally.faults += 2;
    world.put(2, 1_000).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bucket_that_is_gone_is_no_empty_bucket() {
    let mut world = World::new().await;
    let hash = world.put(1, 1_000).await;
    let (bucket, away) = (
        world.server.root.join(BUCKET),
        world.server.root.join("away"),
    );
    fs::rename(&bucket, &away).unwrap();
    world.tally.faults += 1;
    let store = &world.store;
    let gone = |error: Option<Error>| matches!(error, Some(Error::NoBucket));
    assert!(gone(store.size(hash).await.err()));
    assert!(gone(store.open(hash, None).await.err()));
    assert!(gone(store.list().await.err()));
    assert!(gone(store.unfinished().await.err()));
    assert!(gone(store.accept(&delivery(b"x", "s")).await.err()));
    assert!(gone(put(store, b"more").await.err()));
    let all = shared::Timestamp::from_milliseconds(i64::MAX);
    let collected = artifacts::collect(store, all, || async { Ok::<_, Error>([].into()) }).await;
    assert!(
        gone(collected.err()),
        "nothing is concluded from a bucket that is not there"
    );
    fs::rename(&away, &bucket).unwrap();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotated_keys_are_taken_from_their_file() {
    let mut world = World::new().await;
    let keys = world.server.root.join("keys");
    let write = |secret: &str| {
        let text = format!(
            "[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {secret}\n"
        );
        fs::write(&keys, text).unwrap();
    };
    write("first");
    world.server.manners.rotate(ACCESS_KEY, "first");
    let mut settings = world.server.settings();
    settings.keys = KeySource::File(keys.clone());
    world.store = S3Store::open(settings).unwrap();
    world.put(1, 1_000).await;
    let bytes = Bytes::from(bytes(9, 3_000));
    let upload = world.store.begin(&delivery(&bytes, "job")).await.unwrap();
    send_parts(&world.store, &upload, &bytes).await;
    world.server.manners.rotate(ACCESS_KEY, "second key");
    world.tally.faults += 1;
    let refused = put(&world.store, b"between").await;
    assert!(matches!(refused, Err(Error::Denied { .. })), "{refused:?}");
    write("second key");
    world.put(2, LARGE).await;
    world.store.complete(&upload).await.unwrap();
    world.named.insert(upload.delivery.hash, 3_000);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_send_and_complete_the_same_at_once_agree() {
    let mut world = World::new().await;
    let bytes = Bytes::from(bytes(1, 300_000));
    let first = world.store.begin(&delivery(&bytes, "job_1")).await.unwrap();
    let second = world.store.begin(&delivery(&bytes, "job_2")).await.unwrap();
    let lie = Bytes::from(vec![7; 300_000]);
    let third = world.store.begin(&delivery(&bytes, "job_3")).await.unwrap();
    send_parts(&world.store, &first, &bytes).await;
    send_parts(&world.store, &second, &bytes).await;
    send_parts(&world.store, &third, &lie).await;
    let store = &world.store;
    let (a, b, c, d) = tokio::join!(
        store.complete(&first),
        store.complete(&second),
        store.complete(&third),
        store.complete(&first)
    );
    assert!(a.is_ok() && b.is_ok() && d.is_ok(), "{a:?} {b:?} {d:?}");
    assert!(matches!(c, Err(Error::HashMismatch { .. })), "{c:?}");
    world.tally.faults += 2;
    world.named.insert(first.delivery.hash, 300_000);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_that_an_upload_is_gone_finds_what_another_is_completing() {
    let mut world = World::new().await;
    let bytes = Bytes::from(bytes(1, 300_000));
    let upload = world.store.begin(&delivery(&bytes, "job")).await.unwrap();
    send_parts(&world.store, &upload, &bytes).await;
    // Services drop the upload before the object is seen: the first of two is told that nothing is there.
    let gone = Fault::Refuse(404, "NoSuchUpload");
    world.server.manners.order("uploadId=", gone);
    world.tally.faults += 1;
    let store = &world.store;
    let late = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(world.server.manners.left(), 0, "the first one asked before");
        store.complete(&upload).await
    };
    let (first, second) = tokio::join!(store.complete(&upload), late);
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
    world.named.insert(upload.delivery.hash, 300_000);
    world.end().await;
}

#[tokio::test]
async fn sender_that_goes_leaves_nothing_that_the_collector_does_not_find() {
    let mut world = World::new().await;
    let (mut stalled, mut sender) = tokio::io::duplex(1024 * 1024);
    let bytes = bytes(1, LARGE);
    let cut = {
        let sending = tokio::io::AsyncWriteExt::write_all(&mut sender, &bytes[..LARGE - 10]);
        let putting = world
            .store
            .put(ObjectHash::of(&bytes), LARGE as u64, &mut stalled);
        tokio::time::timeout(Duration::from_secs(3), async {
            tokio::join!(sending, putting)
        })
        .await
    };
    assert!(cut.is_err(), "the body never ends");
    assert_eq!(world.store.unfinished().await.unwrap().len(), 1);
    assert_eq!(world.store.list().await.unwrap(), []);
    world.tally.faults += 1;
    world.end().await;
}
