//! The one place that reads system time. Everything else takes a [`Clock`].

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use shared::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads system time"
    )]
    fn now(&self) -> Timestamp {
        let elapsed = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_milliseconds(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The machine's clock, moved forward by hand: lets tests see leases and tokens expire.
#[derive(Clone, Debug, Default)]
pub struct ShiftedClock(Arc<AtomicI64>);

impl ShiftedClock {
    /// Moves the time forward.
    pub fn advance(&self, milliseconds: i64) {
        self.0.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        let shift = self.0.load(Ordering::SeqCst);
        Timestamp::from_milliseconds(SystemClock.now().milliseconds() + shift)
    }
}
