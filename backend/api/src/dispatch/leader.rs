//! The rounds that one server makes for all: leases that ran out, and sweeps. Whoever holds the leader's lock makes them.
//!
//! Every round is safe beside another one (rows are locked and looked at again): the lock saves work, and losing it harms nothing.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use store::Lock;

use super::expiry;
use crate::app::App;

/// Between two tries to lead.
const INTERVAL: Duration = Duration::from_secs(1);

/// Whether this server leads.
#[derive(Debug, Default)]
pub(crate) struct Leading(AtomicBool);

impl Leading {
    /// Whether it does at this moment.
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, leads: bool) {
        self.0.store(leads, Ordering::Relaxed);
    }
}

/// Leads whenever nobody else does, until the server stops.
pub async fn run(app: App) {
    let mut rounds = tokio::time::interval(INTERVAL);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.stop().cancelled() => return,
            _ = rounds.tick() => {}
        }
        match app.store().try_hold(Lock::Leader).await {
            Ok(None) => {}
            Ok(Some(held)) => {
                tracing::info!("this server leads");
                app.leading().set(true);
                let led = Box::pin(held.during(expiry::run(app.clone()))).await;
                app.leading().set(false);
                if led.is_none() {
                    tracing::warn!("this server leads no more");
                }
                // So that the next one need not wait for the database to notice.
                let _ = held.release().await;
            }
            Err(error) => tracing::warn!(%error, "nobody knows who leads"),
        }
    }
}
