//! The collector: removes what nobody names and nobody is about to name.
//!
//! An object without a row is either about to get one or left behind. Age tells them apart: whoever is about to name
//! an object has just stored or touched it.

use std::{collections::HashSet, future::Future};

use shared::Timestamp;

use crate::{ArtifactStore, Error, ObjectHash, ObjectInfo};

/// What a run removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Objects that nobody named.
    pub objects: u64,
    /// Bytes of these objects.
    pub bytes: u64,
    /// Deliveries that nobody finished.
    pub unfinished: u64,
}

/// Objects from before `limit`. Nobody has to be kept out meanwhile.
pub async fn old(store: &dyn ArtifactStore, limit: Timestamp) -> Result<Vec<ObjectInfo>, Error> {
    let mut listed = store.list().await?;
    listed.retain(|info| info.stored_at < limit);
    Ok(listed)
}

/// Removes orphans that are still as old.
///
/// That nobody names them has to be asked after they were listed, and nobody may name one from then on until this returns. An object that was touched
/// after it was listed is looked at once more before it goes.
pub async fn remove_orphans(
    store: &dyn ArtifactStore,
    orphans: &[ObjectInfo],
    limit: Timestamp,
) -> Result<Collected, Error> {
    let mut collected = Collected::default();
    for info in orphans {
        let now = store.inspect(info.hash).await?;
        if now.is_some_and(|now| now.stored_at < limit) && store.delete(info.hash).await? {
            collected.objects += 1;
            collected.bytes += info.size_bytes;
        }
    }
    Ok(collected)
}

/// Removes every delivery that was begun before `limit` and never finished; how many.
pub async fn remove_unfinished(store: &dyn ArtifactStore, limit: Timestamp) -> Result<u64, Error> {
    let mut removed = 0;
    for unfinished in store.unfinished().await? {
        if unfinished.started_at < limit {
            store.remove(&unfinished).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Removes every object and delivery from before `limit` that nobody names, in one go.
pub async fn collect<E, F>(
    store: &dyn ArtifactStore,
    limit: Timestamp,
    named: impl FnOnce() -> F + Send,
) -> Result<Collected, E>
where
    E: From<Error>,
    F: Future<Output = Result<HashSet<ObjectHash>, E>> + Send,
{
    let mut orphans = old(store, limit).await?;
    let named = named().await?;
    orphans.retain(|info| !named.contains(&info.hash));
    let collected = remove_orphans(store, &orphans, limit).await?;
    Ok(Collected {
        unfinished: remove_unfinished(store, limit).await?,
        ..collected
    })
}
