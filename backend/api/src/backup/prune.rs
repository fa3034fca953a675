//! Old snapshots, and objects that no snapshot needs any more.

use std::{collections::BTreeSet, fs, path::Path};

use artifacts::{ArtifactStore, LocalStore};

use super::{OBJECTS, alone, read_manifest, snapshots};

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Snapshots.
    pub snapshots: u64,
    /// Objects.
    pub objects: u64,
}

/// Keeps the newest snapshots and what they need.
pub async fn prune(folder: &Path, keep: usize) -> anyhow::Result<Pruned> {
    anyhow::ensure!(keep > 0, "keep at least one snapshot");
    let _alone = alone(folder)?;
    let all = snapshots(folder)?;
    let (old, kept) = all.split_at(all.len().saturating_sub(keep));
    let mut needed = BTreeSet::new();
    for snapshot in kept {
        needed.extend(read_manifest(snapshot)?.objects.into_keys());
    }
    let mut pruned = Pruned::default();
    for snapshot in old {
        fs::remove_dir_all(snapshot)?;
        pruned.snapshots += 1;
    }
    let store = LocalStore::open(folder.join(OBJECTS)).await?;
    for object in store.list().await? {
        if !needed.contains(&object.hash.to_string()) {
            pruned.objects += u64::from(store.delete(object.hash).await?);
        }
    }
    Ok(pruned)
}
