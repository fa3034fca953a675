//! Wakes those who wait: event streams when a job moved, leases when there is work.
//!
//! Carries no data. Whoever is woken reads the database, so a missed wake-up loses nothing and no
//! buffer grows.

use shared::JobId;
use tokio::sync::{Notify, broadcast};

/// Wake-ups kept for a slow listener; more than these make it read the database once.
const CAPACITY: usize = 64;

/// Where wake-ups pass.
pub(crate) struct Hub {
    moved: broadcast::Sender<JobId>,
    work: Notify,
}

impl Hub {
    /// A hub without listeners.
    pub(crate) fn new() -> Self {
        Self {
            moved: broadcast::channel(CAPACITY).0,
            work: Notify::new(),
        }
    }

    /// Tells that a job has new events.
    pub(crate) fn job_moved(&self, job: JobId) {
        // Nobody listens most of the time; that is no fault.
        let _ = self.moved.send(job);
    }

    /// Tells that a job may be claimed.
    pub(crate) fn work_arrived(&self) {
        self.work.notify_waiters();
    }

    /// Resolves at the next [`Self::work_arrived`]; create it before looking for work.
    pub(crate) fn work(&self) -> impl Future<Output = ()> + '_ {
        self.work.notified()
    }

    /// A listener for one job.
    pub(crate) fn listen(&self, job: JobId) -> Listener {
        Listener {
            job,
            moved: self.moved.subscribe(),
        }
    }
}

/// Waits for one job to move.
pub(crate) struct Listener {
    job: JobId,
    moved: broadcast::Receiver<JobId>,
}

impl Listener {
    /// Resolves when the job may have moved; false once the server stops.
    pub(crate) async fn moved(&mut self) -> bool {
        loop {
            match self.moved.recv().await {
                Ok(job) if job == self.job => return true,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return true,
                Err(broadcast::error::RecvError::Closed) => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::JobId;

    use super::*;

    fn job(number: u128) -> JobId {
        JobId::from_uuid(uuid::Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn listener_wakes_for_its_job_and_after_a_lag() {
        let hub = Hub::new();
        let mut listener = hub.listen(job(1));
        hub.job_moved(job(2));
        hub.job_moved(job(1));
        assert!(listener.moved().await);
        for _ in 0..=CAPACITY {
            hub.job_moved(job(2));
        }
        assert!(listener.moved().await, "a lag counts as a wake-up");
        drop(hub);
        while listener.moved().await {}
    }
}
