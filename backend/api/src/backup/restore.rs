//! A snapshot into a fresh instance, every byte checked on the way.

use std::{
    fs,
    io::BufReader,
    path::{Path, PathBuf},
};

use anyhow::Context;
use artifacts::{ArtifactStore, LocalStore, ObjectHash};
use store::Store;

use super::{KEYS, OBJECTS, ROWS, hash_file, keys, read_manifest, snapshots};
use crate::{app, config::Config, server};

/// What a restoration did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Name of the snapshot.
    pub snapshot: String,
    /// Rows of all tables.
    pub rows: u64,
    /// Objects.
    pub objects: u64,
    /// Bytes of them.
    pub bytes: u64,
}

fn choose(folder: &Path, name: Option<&str>) -> anyhow::Result<PathBuf> {
    let all = snapshots(folder)?;
    let none = || format!("there is no complete snapshot in {}", folder.display());
    match name {
        None => all.last().cloned().with_context(none),
        Some(name) => {
            let found = all.into_iter().find(|path| path.ends_with(name));
            found.with_context(|| {
                format!(
                    "there is no complete snapshot {name} in {}",
                    folder.display()
                )
            })
        }
    }
}

/// Puts a snapshot, the newest unless named, into an instance that has nothing; `told` hears how many objects of how many
/// are done.
pub async fn restore(
    config: &Config,
    folder: &Path,
    name: Option<&str>,
    mut told: impl FnMut(u64, u64),
) -> anyhow::Result<Restored> {
    let snapshot = choose(folder, name)?;
    let manifest = read_manifest(&snapshot)?;
    let rows = snapshot.join(ROWS);
    anyhow::ensure!(
        hash_file(&rows)? == manifest.rows_sha256,
        "{} is not what was saved: take another snapshot",
        rows.display()
    );
    server::prepare_directory(&config.data_dir)?;
    anyhow::ensure!(
        !keys::are_there(config)?,
        "{} holds keys already: restore into a fresh data directory",
        config.data_dir.display()
    );
    server::migrate(config).await?;
    let store = Store::connect(&config.database_url()).await?;
    anyhow::ensure!(
        store.is_empty().await?,
        "the database is not empty: restore into a fresh one"
    );
    let known = store.migrations().await?;
    anyhow::ensure!(
        known == manifest.migrations,
        "the snapshot was made by version {} with other tables; restore it with that version, then start this one",
        manifest.version
    );
    let from = LocalStore::open(folder.join(OBJECTS)).await?;
    let to = app::open_artifacts(config).await?;
    let mut restored = Restored {
        snapshot: snapshot
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        ..Restored::default()
    };
    for (sha256, size) in &manifest.objects {
        let hash: ObjectHash = sha256.parse()?;
        let object = from.open(hash, None).await?;
        let mut object = object.with_context(|| format!("the backup lacks the object {sha256}"))?;
        // The store hashes what it takes: a changed byte is refused.
        to.put(hash, *size, &mut *object.reader)
            .await
            .with_context(|| format!("the object {sha256} is damaged in the backup"))?;
        restored.objects += 1;
        restored.bytes += size;
        told(restored.objects, manifest.objects.len() as u64);
    }
    keys::put_back(config, &snapshot.join(KEYS), &manifest.keys)?;
    let mut lines = BufReader::new(fs::File::open(&rows)?);
    let written = store.load(&mut lines).await?;
    anyhow::ensure!(
        written == manifest.rows,
        "other rows than those of the manifest were written"
    );
    restored.rows = written.values().sum();
    Ok(restored)
}
