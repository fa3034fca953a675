//! The local store: leftovers, private directories, a full disk.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use artifacts::{ArtifactStore, Error, LocalStore, ObjectHash};
use tempfile::TempDir;

use crate::{
    conformance::{bytes, conforms, get, put},
    deliveries::delivery,
    tally::Tally,
};

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the directory exists");
    entries
        .map(|entry| entry.expect("it can be listed").path())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn local_store_conforms() {
    let root = TempDir::new().unwrap();
    conforms(Arc::new(LocalStore::open(root.path()).await.unwrap())).await;
    assert_eq!(files(&root.path().join("temporary")), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn objects_lie_at_their_hash_and_are_private() {
    let root = TempDir::new().unwrap();
    let store = LocalStore::open(root.path()).await.unwrap();
    put(&store, b"picture").await.unwrap();
    let hash = ObjectHash::of(b"picture").to_string();
    let object = root
        .path()
        .join("objects")
        .join(&hash[..2])
        .join(&hash[2..]);
    assert_eq!(fs::read(&object).unwrap(), b"picture");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&object), 0o600);
    assert_eq!(mode(object.parent().unwrap()), 0o700);
}

#[tokio::test]
async fn start_removes_what_a_killed_process_left_and_nothing_else() {
    let root = TempDir::new().unwrap();
    let store = LocalStore::open(root.path()).await.unwrap();
    put(&store, b"kept").await.unwrap();
    let left = root.path().join("temporary/left");
    let in_use = root.path().join("temporary/in_use");
    fs::write(&left, b"half").unwrap();
    let held = File::create(&in_use).unwrap();
    held.lock().unwrap();
    let again = LocalStore::open(root.path()).await.unwrap();
    assert_eq!(files(&root.path().join("temporary")), [in_use]);
    assert_eq!(get(&again, ObjectHash::of(b"kept")).await.unwrap(), b"kept");
}

#[tokio::test]
async fn dropped_upload_leaves_nothing() {
    let root = TempDir::new().unwrap();
    let store = LocalStore::open(root.path()).await.unwrap();
    let (mut stalled, _sender) = tokio::io::duplex(64);
    let upload = store.put(ObjectHash::of(b"never"), 5, &mut stalled);
    let cut_off = tokio::time::timeout(Duration::from_millis(200), upload).await;
    assert!(cut_off.is_err(), "the body never ends");
    assert_eq!(files(&root.path().join("temporary")), [] as [PathBuf; 0]);
}

/// A file system of 256 KiB; `None` where this process may not mount one.
struct TinyDisk(TempDir);

impl TinyDisk {
    fn mount() -> Option<Self> {
        let directory = TempDir::new().expect("a directory can be made");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
            .arg(directory.path())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then(|| Self(directory))
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

#[tokio::test]
async fn full_disk_is_told_and_leaves_no_litter() {
    let Some(disk) = TinyDisk::mount() else {
        println!("SKIPPED full_disk_is_told_and_leaves_no_litter: this user cannot mount a tmpfs");
        return;
    };
    let root = disk.0.path().join("store");
    let store = LocalStore::open(&root).await.unwrap();
    put(&store, &bytes(1, 50_000)).await.unwrap();
    let large = bytes(2, 1_000_000);
    let refused = put(&store, &large).await;
    assert!(matches!(refused, Err(Error::NoSpace)), "{refused:?}");
    assert_eq!(files(&root.join("temporary")), [] as [PathBuf; 0]);
    assert!(!store.exists(ObjectHash::of(&large)).await.unwrap());
    put(&store, &bytes(3, 50_000))
        .await
        .expect("what fits is stored: nothing of the large one was kept");
    let mut tally = Tally {
        faults: 2,
        ..Tally::default()
    };
    let parts = bytes::Bytes::from(bytes(4, 150_000));
    let upload = store.begin(&delivery(&parts, "job")).await.unwrap();
    let sent = store.write_part(&upload, 1, parts.clone()).await;
    let full = match sent {
        Ok(()) => store.complete(&upload).await,
        refused => refused,
    };
    assert!(matches!(full, Err(Error::NoSpace)), "{full:?}");
    assert_eq!(files(&root.join("temporary")), [] as [PathBuf; 0]);
    let named = [bytes(1, 50_000), bytes(3, 50_000)];
    let named = named.map(|bytes| (ObjectHash::of(&bytes), 50_000)).into();
    tally.settle(&store, &named).await;
    tally.tell();
}
