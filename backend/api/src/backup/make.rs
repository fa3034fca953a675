//! A snapshot, beside a running server or without one.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::Context;
use artifacts::{ArtifactStore, LocalStore, ObjectHash};
use shared::Timestamp;
use store::Store;

use super::{
    FORMAT, KEYS, MANIFEST, Manifest, OBJECTS, ROWS, SNAPSHOTS, alone, hash_file, keys,
    remove_drafts,
};
use crate::{app, config::Config, secret};

/// What a backup did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Name of the snapshot.
    pub snapshot: String,
    /// Rows of all tables.
    pub rows: u64,
    /// Objects that the snapshot needs, and their bytes.
    pub objects: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Objects that were copied this time.
    pub copied: u64,
}

fn write_rows(path: &Path) -> anyhow::Result<BufWriter<fs::File>> {
    let mut options = fs::OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(BufWriter::new(file))
}

/// Sorts by time: `20261126T172011.045Z`.
fn name(now: Timestamp) -> String {
    let milliseconds = now.milliseconds().rem_euclid(1000);
    let whole = Timestamp::from_milliseconds(now.milliseconds() - milliseconds);
    let text = whole.rfc3339().replace(['-', ':', 'Z'], "");
    format!("{text}.{milliseconds:03}Z")
}

/// Copies one object unless it is there; its size, and whether it was copied.
async fn copy(
    from: &dyn ArtifactStore,
    to: &LocalStore,
    sha256: &str,
) -> anyhow::Result<(u64, bool)> {
    let hash: ObjectHash = sha256.parse()?;
    if let Some(size) = to.size(hash).await? {
        return Ok((size, false));
    }
    let object = from.open(hash, None).await?;
    let mut object = object.with_context(|| {
        format!("the object {sha256} was named by a row a moment ago and is not in the store: run the backup again")
    })?;
    let size = object.size_bytes;
    to.put(hash, size, &mut *object.reader).await?;
    Ok((size, true))
}

/// Saves everything of an instance as one snapshot in a folder; `told` hears how many objects of how many are done.
pub async fn make(
    config: &Config,
    folder: &Path,
    now: Timestamp,
    told: impl FnMut(u64, u64),
) -> anyhow::Result<Made> {
    let _alone = alone(folder)?;
    remove_drafts(folder)?;
    let made = write(config, folder, now, told).await;
    if made.is_err() {
        // The cause matters more than what is left; the next backup removes it, too.
        let _ = remove_drafts(folder);
    }
    made
}

async fn write(
    config: &Config,
    folder: &Path,
    now: Timestamp,
    mut told: impl FnMut(u64, u64),
) -> anyhow::Result<Made> {
    let store = Store::connect(&config.database_url()).await?;
    let from = app::open_artifacts(config).await?;
    let to = LocalStore::open(folder.join(OBJECTS)).await?;
    let name = name(now);
    let draft = folder.join(SNAPSHOTS).join(&name);
    crate::server::prepare_directory(&draft)?;
    // Before the rows and after the objects: while keys are renewed beside this, the rows name the old master key or
    // the new one.
    let mut keys = keys::save(config, &draft.join(KEYS))?;
    let mut rows = write_rows(&draft.join(ROWS))?;
    let dumped = store.dump(&mut rows).await?;
    rows.flush()?;
    rows.get_ref().sync_all()?;
    let mut made = Made {
        snapshot: name,
        rows: dumped.rows.values().sum(),
        ..Made::default()
    };
    let total = dumped.objects.len() as u64;
    let mut objects = BTreeMap::new();
    for sha256 in dumped.objects {
        let (size, copied) = copy(from.as_ref(), &to, &sha256).await?;
        made.objects += 1;
        made.bytes += size;
        made.copied += u64::from(copied);
        objects.insert(sha256, size);
        told(objects.len() as u64, total);
    }
    keys.extend(keys::save(config, &draft.join(KEYS))?);
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").into(),
        created_at: now,
        migrations: dumped.migrations,
        rows: dumped.rows,
        rows_sha256: hash_file(&draft.join(ROWS))?,
        objects,
        keys,
    };
    let text = serde_json::to_vec_pretty(&manifest)?;
    secret::write_private(&draft.join(MANIFEST), &text)?;
    Ok(made)
}
