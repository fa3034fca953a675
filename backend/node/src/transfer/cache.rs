//! Model files by hash, for all jobs of a node. None is ever removed, and each job has a link of its own.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

type Turn = Arc<tokio::sync::Mutex<()>>;

/// A folder of files that several jobs fetch into.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    /// One a file; as many as there are files.
    turns: Arc<Mutex<HashMap<String, Turn>>>,
}

impl Cache {
    /// Uses a folder that is there.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            turns: Arc::default(),
        }
    }

    /// Where a file lies, or would.
    pub(super) fn path(&self, sha256: &str) -> PathBuf {
        self.folder.join(sha256)
    }

    /// Waits until nobody else looks at a file or fetches it.
    pub(super) async fn alone(&self, sha256: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(sha256.to_owned()).or_default())
        };
        turn.lock_owned().await
    }
}
