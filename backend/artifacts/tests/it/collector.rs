//! The collector among writers, removers and deaths in random order: nothing named goes, every orphan is found.

#![expect(
    clippy::disallowed_methods,
    reason = "files get their age from the clock of this machine"
)]

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use artifacts::{ArtifactStore, Error, LocalStore, ObjectHash, collect};
use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shared::Timestamp;
use tempfile::TempDir;
use tokio::sync::RwLock;

use crate::{
    conformance::bytes,
    deliveries::delivery,
    paced::{Paced, Turns},
    tally::Tally,
};

/// Different contents: few, so that writers, removers and collectors meet.
const CONTENTS: u64 = 5;

/// A world with rows that name objects.
struct World {
    root: TempDir,
    store: Paced,
    rows: Mutex<HashMap<ObjectHash, u64>>,
    /// Read while an object gets its row, written while objects without one are removed.
    publishing: RwLock<()>,
    /// What a living task is about to name: the grace period is longer than any task.
    in_flight: Mutex<Vec<(u64, ObjectHash)>>,
}

impl World {
    async fn new() -> Arc<Self> {
        let root = TempDir::new().expect("a directory can be made");
        let inner = LocalStore::open(root.path()).await.expect("it opens");
        Arc::new(Self {
            root,
            store: Paced {
                inner,
                turns: Arc::new(Turns::default()),
            },
            rows: Mutex::default(),
            publishing: RwLock::new(()),
            in_flight: Mutex::default(),
        })
    }

    /// A lock without waiting out of turn.
    async fn reading(&self) -> tokio::sync::RwLockReadGuard<'_, ()> {
        loop {
            if let Ok(guard) = self.publishing.try_read() {
                return guard;
            }
            self.store.turns.pass().await;
        }
    }

    /// Stores an object and names it at once, as a request does.
    async fn publish(self: Arc<Self>, actor: u64, content: u64) {
        let bytes = bytes(content, 100);
        let hash = ObjectHash::of(&bytes);
        let _publishing = self.reading().await;
        self.fly(actor, hash);
        if !self.store.touch(hash).await.expect("the store works") {
            let put = self.store.put(hash, 100, &mut bytes.as_slice()).await;
            put.expect("the store works");
        }
        self.store.turns.pass().await;
        self.rows.lock().expect("no panic").insert(hash, 100);
    }

    /// Stores an object now and names it much later, if it is still there, as a node does.
    async fn deliver(self: Arc<Self>, actor: u64, content: u64, cut: bool) {
        let bytes = Bytes::from(bytes(content, 100));
        let hash = ObjectHash::of(&bytes);
        let known = {
            let _publishing = self.reading().await;
            self.fly(actor, hash);
            self.store.touch(hash).await.expect("the store works")
        };
        if !known {
            let upload = self.store.begin(&delivery(&bytes, "job")).await;
            let upload = upload.expect("the store works");
            let sent = self.store.write_part(&upload, 1, bytes.clone()).await;
            sent.expect("the store works");
            if cut {
                return; // the sender never comes back
            }
            self.store.complete(&upload).await.expect("the store works");
        }
        let _publishing = self.reading().await;
        let there = self.store.size(hash).await.expect("the store works");
        assert_eq!(
            there,
            Some(100),
            "what was touched stays for the grace period"
        );
        self.rows.lock().expect("no panic").insert(hash, 100);
    }

    async fn unname(self: Arc<Self>, content: u64) {
        self.store.turns.pass().await;
        let hash = ObjectHash::of(&bytes(content, 100));
        self.rows.lock().expect("no panic").remove(&hash);
    }

    async fn collect(self: Arc<Self>) {
        let _alone = loop {
            if let Ok(guard) = self.publishing.try_write() {
                break guard;
            }
            self.store.turns.pass().await;
        };
        let named = || async {
            self.store.turns.pass().await;
            let rows = self.rows.lock().expect("no panic");
            Ok::<HashSet<_>, Error>(rows.keys().copied().collect())
        };
        collect(&self.store, limit(), named)
            .await
            .expect("the store works");
    }

    fn fly(&self, actor: u64, hash: ObjectHash) {
        self.in_flight.lock().expect("no panic").push((actor, hash));
    }

    fn land(&self, ended: impl Fn(u64) -> bool) {
        let mut flying = self.in_flight.lock().expect("no panic");
        flying.retain(|(actor, _)| !ended(*actor));
    }

    /// Lets the grace period of everything pass that no living task is about to name.
    fn age(&self) {
        let flying: HashSet<String> = {
            let flying = self.in_flight.lock().expect("no panic");
            flying.iter().map(|(_, hash)| hash.to_string()).collect()
        };
        let is_flying = |name: &str| flying.iter().any(|hash| name.contains(&hash[2..]));
        for folder in ["objects", "uploads"] {
            age(&self.root.path().join(folder), &is_flying);
        }
    }
}

/// An hour ago: what is stored now is young.
fn limit() -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = i64::try_from(now.expect("after 1970").as_millis()).expect("not so far");
    Timestamp::from_milliseconds(now - 3_600_000)
}

fn age(folder: &Path, is_flying: &impl Fn(&str) -> bool) {
    for entry in fs::read_dir(folder).expect("the directory exists") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            age(&path, is_flying);
        }
        if !is_flying(path.to_str().expect("plain names")) {
            let file = fs::File::open(&path).expect("it is there");
            let past = SystemTime::now() - Duration::from_hours(2);
            file.set_modified(past).expect("it is ours");
        }
    }
}

/// One history: forty tasks in random order, some of them killed.
async fn live(seed: u64, tally: &mut Tally) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let world = World::new().await;
    let turns = Arc::clone(&world.store.turns);
    let mut tasks = HashMap::new();
    let mut number = 0;
    loop {
        while number < 40 && tasks.len() < 5 {
            number += 1;
            let (world, content) = (Arc::clone(&world), random.random_range(0..CONTENTS));
            let task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> =
                match random.random_range(0..10) {
                    0..=2 => Box::pin(world.publish(number, content)),
                    3..=4 => Box::pin(world.deliver(number, content, false)),
                    5 => Box::pin(world.deliver(number, content, true)),
                    6..=7 => Box::pin(world.unname(content)),
                    _ => Box::pin(world.collect()),
                };
            tasks.insert(number, turns.start(number, task));
        }
        let Some((actor, dies)) = turns.next(&mut random, 0.03).await else {
            break;
        };
        if dies && let Some(task) = tasks.remove(&actor) {
            task.abort();
            let _ = task.await;
            tally.kill_points += 1;
        }
        let ended: Vec<u64> = tasks
            .iter()
            .filter_map(|(actor, task)| task.is_finished().then_some(*actor))
            .collect();
        for actor in ended {
            let task = tasks.remove(&actor).expect("it is there");
            let ended = task.await;
            assert!(ended.is_ok(), "seed {seed}: {ended:?}");
        }
        world.land(|actor| !tasks.contains_key(&actor));
        if random.random_bool(0.2) {
            world.age();
        }
    }
    for task in tasks.into_values() {
        task.await.expect("no panic");
    }
    let rows = world.rows.lock().expect("no panic").clone();
    tally.settle(&world.store.inner, &rows).await;
    let left = world.store.inner.list().await.expect("the store works");
    assert_eq!(left.len(), rows.len(), "seed {seed}");
}

#[tokio::test]
async fn nothing_named_goes_and_every_orphan_is_found_in_any_order() {
    let mut tally = Tally::default();
    for seed in 0..60 {
        live(seed, &mut tally).await;
    }
    assert!(tally.kill_points > 20, "{tally:?}");
    tally.tell();
}

/// What the second look is for.
#[tokio::test]
async fn object_that_was_touched_after_the_listing_is_spared() {
    let root = TempDir::new().unwrap();
    let store = LocalStore::open(root.path()).await.unwrap();
    let bytes = bytes(1, 100);
    let hash = ObjectHash::of(&bytes);
    store.put(hash, 100, &mut bytes.as_slice()).await.unwrap();
    age(&root.path().join("objects"), &|_| false);
    let named = || async {
        store.touch(hash).await?; // somebody is about to name it
        Ok::<HashSet<_>, Error>(HashSet::new())
    };
    let collected = collect(&store, limit(), named).await.unwrap();
    assert_eq!(collected, artifacts::Collected::default());
    assert!(store.exists(hash).await.unwrap());
    age(&root.path().join("objects"), &|_| false);
    let nobody = || async { Ok::<HashSet<_>, Error>(HashSet::new()) };
    let collected = collect(&store, limit(), nobody).await.unwrap();
    assert_eq!((collected.objects, collected.bytes), (1, 100));
    assert!(!store.exists(hash).await.unwrap());
}
