//! The collector: removes what nobody names and nobody is about to name.
//!
//! An object without a row is either about to get one or left behind. Age tells them apart: whoever is about to name
//! an object has just stored or touched it.

use std::{collections::HashSet, future::Future};

use shared::Timestamp;

use crate::{ArtifactStore, Error, ObjectHash};

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

/// Removes every object and delivery from before `limit` that nobody names.
///
/// The names are asked for after the objects were listed: whatever was named meanwhile is in them. An object that was
/// touched after that is looked at once more before it goes.
pub async fn collect<E, F>(
    store: &dyn ArtifactStore,
    limit: Timestamp,
    named: impl FnOnce() -> F + Send,
) -> Result<Collected, E>
where
    E: From<Error>,
    F: Future<Output = Result<HashSet<ObjectHash>, E>> + Send,
{
    let mut listed = store.list().await?;
    listed.retain(|info| info.stored_at < limit);
    let named = named().await?;
    listed.retain(|info| !named.contains(&info.hash));
    let mut collected = Collected::default();
    for info in listed {
        let now = store.inspect(info.hash).await?;
        if now.is_some_and(|now| now.stored_at < limit) && store.delete(info.hash).await? {
            collected.objects += 1;
            collected.bytes += info.size_bytes;
        }
    }
    for unfinished in store.unfinished().await? {
        if unfinished.started_at < limit {
            store.remove(&unfinished).await?;
            collected.unfinished += 1;
        }
    }
    Ok(collected)
}
