//! How often this process has changed the database.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The count; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes(Arc<AtomicU64>);

/// A change under way: it counts when this is dropped, however it ended.
#[must_use]
pub(crate) struct Change<'a>(&'a Changes);

impl Changes {
    pub(crate) fn begin(&self) -> Change<'_> {
        Change(self)
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}
