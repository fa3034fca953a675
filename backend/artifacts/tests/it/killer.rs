//! A process that kills itself at one of its steps, counted.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use artifacts::STEP;
use rustix::process::{Signal, getpid, kill_process};
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

/// Counts steps and kills its own process at one of them.
struct Killer {
    left: AtomicU64,
}

impl Subscriber for Killer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == STEP
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            kill_process(getpid(), Signal::KILL).expect("a process may kill itself");
            std::thread::sleep(Duration::from_mins(1)); // the signal is on its way
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// From here on this process dies at the step of this number.
pub(crate) fn arm(point: &str) {
    let left = AtomicU64::new(point.parse().expect("a number"));
    tracing::subscriber::set_global_default(Killer { left }).expect("the first one");
}
