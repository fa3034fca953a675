//! The whole product in one folder: rows, objects, keys; and back into a fresh instance, of either database and either
//! object store.
//!
//! ```text
//! FOLDER/backup.lock                         held while something is written
//! FOLDER/objects/..                          every object once, by its SHA-256
//! FOLDER/snapshots/20261126T172011Z/rows.jsonl     one state of the database, a row a line
//!                                  /keys/..        the instance's secret files, mode 0600
//!                                  /manifest.json  what belongs to it; written last
//! ```
//!
//! Objects never change and are named by their content: a second backup into the same folder copies what is new.
//! Refuses half backups (no manifest, no snapshot) and to restore over anything.

pub mod command;
mod keys;
mod make;
mod prune;
mod restore;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use shared::Timestamp;

use crate::disk;

pub use make::{Made, make};
pub use prune::{Pruned, prune};
pub use restore::{Restored, restore};

const SNAPSHOTS: &str = "snapshots";
const OBJECTS: &str = "objects";
const MANIFEST: &str = "manifest.json";
const LOCK: &str = "backup.lock";
const ROWS: &str = "rows.jsonl";
const KEYS: &str = "keys";
/// The form that is written and read here.
const FORMAT: u32 = 1;

/// What belongs to one snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    /// Version of the program that made it.
    version: String,
    created_at: Timestamp,
    /// Migrations of the database, in order.
    migrations: Vec<String>,
    /// Rows by table.
    rows: BTreeMap<String, u64>,
    /// SHA-256 of the file with the rows.
    rows_sha256: String,
    /// Size of each object by its SHA-256.
    objects: BTreeMap<String, u64>,
    /// SHA-256 of each secret file.
    keys: BTreeMap<String, String>,
}

/// Keeps other backups out of a folder while what this gives is held: one that removes old objects would remove what
/// another one has just copied and not named yet.
fn alone(folder: &Path) -> anyhow::Result<fs::File> {
    crate::server::prepare_directory(folder)?;
    let path = folder.join(LOCK);
    let held = disk::alone(&path).with_context(|| format!("cannot lock {}", path.display()))?;
    held.with_context(|| {
        format!(
            "another backup writes to {}: wait until it is done",
            folder.display()
        )
    })
}

fn read_manifest(snapshot: &Path) -> anyhow::Result<Manifest> {
    let path = snapshot.join(MANIFEST);
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let manifest: Manifest = serde_json::from_slice(&text)
        .with_context(|| format!("{} is no manifest of a backup", path.display()))?;
    anyhow::ensure!(
        manifest.format == FORMAT,
        "{} has the form {}; this program reads {FORMAT}",
        path.display(),
        manifest.format
    );
    Ok(manifest)
}

/// Every complete snapshot of a backup, oldest first.
fn snapshots(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let place = folder.join(SNAPSHOTS);
    let entries = match fs::read_dir(&place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("cannot read {}", place.display()))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.join(MANIFEST).is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Removes what backups left that broke off: rows without a manifest are nobody's, and personal.
fn remove_drafts(folder: &Path) -> anyhow::Result<()> {
    let place = folder.join(SNAPSHOTS);
    if !place.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(&place).with_context(|| format!("cannot read {}", place.display()))? {
        let path = entry?.path();
        if path.is_dir() && !path.join(MANIFEST).is_file() {
            fs::remove_dir_all(&path)
                .with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// SHA-256 of a file, read piece by piece.
fn hash_file(path: &Path) -> anyhow::Result<String> {
    use sha2::{Digest, Sha256};
    let mut file =
        fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut digest = Sha256::new();
    io::copy(&mut file, &mut digest).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(hex::encode(digest.finalize()))
}
