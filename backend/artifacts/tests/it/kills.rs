//! A process that is killed at every step in turn: what it said to have done is done, and nothing else stays.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "two processes of this test talk by environment and standard output"
)]

use std::{
    collections::HashMap,
    env,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use artifacts::{ArtifactStore, Delivery, LocalStore, ObjectHash, S3Store};
use bytes::Bytes;
use tempfile::TempDir;

use crate::{
    conformance::{PART, bytes, put},
    deliveries::{delivery, send},
    killer,
    s3_server::{S3Server, credentials},
    tally::Tally,
};

/// The step at which the child dies.
const POINT: &str = "PERSGUARD_TEST_KILL_POINT";
/// A directory, or the address of a service.
const PLACE: &str = "PERSGUARD_TEST_KILL_PLACE";

/// What the killed process does; a test only so that the test program can start itself.
#[tokio::test]
async fn child_of_the_kill_tests() {
    let (Ok(point), Ok(place)) = (env::var(POINT), env::var(PLACE)) else {
        return;
    };
    killer::arm(&point);
    let store: Arc<dyn ArtifactStore> = if place.starts_with("http") {
        Arc::new(S3Store::open(settings(&place)).expect("the settings are fine"))
    } else {
        Arc::new(LocalStore::open(place).await.expect("it opens"))
    };
    work(&*store).await;
    println!("done");
}

fn settings(endpoint: &str) -> artifacts::S3Settings {
    artifacts::S3Settings {
        endpoint: endpoint.to_owned(),
        public_endpoint: None,
        region: "us-east-1".into(),
        bucket: crate::s3_server::BUCKET.into(),
        prefix: "persguard/".into(),
        path_style: true,
        keys: artifacts::KeySource::Fixed(credentials()),
        encryption: None,
    }
}

fn named(delivery: &Delivery) {
    println!("named {} {}", delivery.hash, delivery.size_bytes);
}

/// Every way in which an object comes, and how it goes.
async fn work(store: &dyn ArtifactStore) {
    let small = Bytes::from(bytes(1, 1_000));
    put(store, &small).await.expect("it is stored");
    named(&delivery(&small, ""));
    let large = bytes(2, PART + 1_000);
    put(store, &large).await.expect("it is stored");
    named(&delivery(&large, ""));
    let parts = Bytes::from(bytes(3, 2_000));
    let upload = store
        .begin(&delivery(&parts, "job"))
        .await
        .expect("it begins");
    let sent = store.write_part(&upload, 1, parts.clone()).await;
    sent.expect("the part is stored");
    store.complete(&upload).await.expect("it is complete");
    named(&upload.delivery);
    let direct = Bytes::from(bytes(4, 3_000));
    let sent = delivery(&direct, "upload");
    let lifetime = Duration::from_mins(1);
    if let Some(signed) = store.sign_put(&sent, lifetime).await.expect("signed") {
        let answer = send(reqwest::Method::PUT, &signed, direct.clone()).await;
        assert!(answer.status().is_success());
        assert!(store.accept(&sent).await.expect("the store works"));
        named(&sent);
    }
    assert!(
        store
            .touch(ObjectHash::of(&small))
            .await
            .expect("the store works")
    );
    println!("going {}", ObjectHash::of(&small));
    assert!(
        store
            .delete(ObjectHash::of(&small))
            .await
            .expect("the store works")
    );
}

/// Runs the child; gives what it named, and whether it came to the end.
fn run(point: u64, place: &str) -> (HashMap<ObjectHash, u64>, bool) {
    let program = env::current_exe().expect("this program has a path");
    let output = Command::new(program)
        .args(["--exact", "kills::child_of_the_kill_tests", "--nocapture"])
        .env(POINT, point.to_string())
        .env(PLACE, place)
        .stderr(Stdio::inherit())
        .output()
        .expect("this program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut named = HashMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let hash = words.get(1).and_then(|hash| hash.parse().ok());
        match (words[0], hash) {
            ("named", Some(hash)) => {
                named.insert(hash, words[2].parse().expect("a size"));
            }
            ("going", Some(hash)) => {
                named.remove(&hash);
            }
            _ => {}
        }
    }
    let done = text.lines().any(|line| line == "done");
    assert_eq!(
        done,
        output.status.success(),
        "it was killed or came to the end: {text}"
    );
    (named, done)
}

async fn kill_everywhere(
    place: &str,
    open: impl AsyncFn() -> Arc<dyn ArtifactStore>,
    litter: impl Fn() -> u64,
) {
    let mut tally = Tally::default();
    for point in 1.. {
        let child = tokio::task::spawn_blocking({
            let place = place.to_owned();
            move || run(point, &place)
        });
        let (named, done) = child.await.expect("no panic");
        let store = open().await;
        tally.settle(&*store, &named).await;
        tally.orphans += litter();
        tally.sweep(&*store, &HashMap::new()).await;
        if done {
            break;
        }
        tally.kill_points += 1;
    }
    assert!(tally.kill_points > 10, "{tally:?}");
    tally.tell();
}

fn files(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("the directory exists");
    entries.count() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_killed_at_every_step_leaves_a_directory_whole() {
    let root = TempDir::new().unwrap();
    let place = root.path().to_str().unwrap();
    let open = async || {
        let store = LocalStore::open(place).await.expect("it opens");
        Arc::new(store) as Arc<dyn ArtifactStore>
    };
    let litter = || files(&root.path().join("temporary")) + files(&root.path().join("uploads"));
    kill_everywhere(place, open, litter).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_killed_at_every_step_leaves_a_bucket_whole() {
    let root = TempDir::new().unwrap();
    let server = S3Server::with_bucket(root.path()).await;
    let open = async || {
        let store = S3Store::open(server.settings()).expect("the settings are fine");
        Arc::new(store) as Arc<dyn ArtifactStore>
    };
    let parts = || {
        let entries = std::fs::read_dir(root.path()).expect("the directory exists");
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter(|name| name.contains("upload")).count() as u64
    };
    kill_everywhere(&server.endpoint, open, parts).await;
}
