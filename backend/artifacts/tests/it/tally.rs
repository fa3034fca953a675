//! What tests of faults count, in lines that a command adds up.

#![expect(
    clippy::print_stdout,
    reason = "a command reads the lines of these tests"
)]

use std::collections::HashMap;

use artifacts::{ArtifactStore, ObjectHash, collect};
use shared::Timestamp;

use crate::conformance::get;

/// What was provoked and what it cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) kill_points: u64,
    pub(crate) faults: u64,
    pub(crate) lost: u64,
    pub(crate) orphans: u64,
}

impl Tally {
    /// Says what was counted; fails where anything was lost or left behind.
    pub(crate) fn tell(self) {
        let Self {
            kill_points,
            faults,
            lost,
            orphans,
        } = self;
        println!("tally: kill_points={kill_points} faults={faults} lost={lost} orphans={orphans}");
        assert_eq!((lost, orphans), (0, 0));
    }

    /// Counts objects that are named and not there, or there and not whole; then what a collector leaves behind.
    pub(crate) async fn settle(
        &mut self,
        store: &dyn ArtifactStore,
        named: &HashMap<ObjectHash, u64>,
    ) {
        for info in store.list().await.expect("the store works") {
            let bytes = get(store, info.hash).await.expect("it was listed");
            self.lost += u64::from(ObjectHash::of(&bytes) != info.hash);
        }
        for (hash, size) in named {
            let found = store.size(*hash).await.expect("the store works");
            self.lost += u64::from(found != Some(*size));
        }
        self.sweep(store, named).await;
    }

    /// Counts what a collector leaves behind that nobody names.
    pub(crate) async fn sweep(
        &mut self,
        store: &dyn ArtifactStore,
        named: &HashMap<ObjectHash, u64>,
    ) {
        let far = Timestamp::from_milliseconds(i64::MAX);
        let names = || async { Ok::<_, artifacts::Error>(named.keys().copied().collect()) };
        collect(store, far, names).await.expect("the store works");
        let left = store.list().await.expect("the store works");
        let left = left.iter().filter(|info| !named.contains_key(&info.hash));
        self.orphans += left.count() as u64;
        let unfinished = store.unfinished().await.expect("the store works");
        self.orphans += unfinished.len() as u64;
    }
}
