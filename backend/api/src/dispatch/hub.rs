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
    one: Notify,
    all: Notify,
}

/// Who was woken beside somebody who looks for work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Nobody: whoever finds that it cannot take the work wakes the others.
    Alone,
    /// Everybody.
    WithAll,
}

impl Hub {
    /// A hub without listeners.
    pub(crate) fn new() -> Self {
        Self {
            moved: broadcast::channel(CAPACITY).0,
            one: Notify::new(),
            all: Notify::new(),
        }
    }

    /// Tells that a job has new events.
    pub(crate) fn job_moved(&self, job: JobId) {
        // Nobody listens most of the time; that is no fault.
        let _ = self.moved.send(job);
    }

    /// Tells that one job may be claimed: a hundred idle nodes need not all look for it.
    pub(crate) fn job_arrived(&self) {
        self.one.notify_one();
    }

    /// Tells that jobs may be claimed, by nodes that could not before.
    pub(crate) fn work_arrived(&self) {
        self.all.notify_waiters();
    }

    /// Resolves at the next wake-up; create it before looking for work.
    pub(crate) fn work(&self) -> impl Future<Output = Woken> + '_ {
        let (one, all) = (self.one.notified(), self.all.notified());
        async move {
            tokio::select! {
                () = all => Woken::WithAll,
                () = one => Woken::Alone,
            }
        }
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
    async fn one_job_wakes_one_and_more_wake_all() {
        let hub = std::sync::Arc::new(Hub::new());
        let wait = || {
            let hub = std::sync::Arc::clone(&hub);
            tokio::spawn(async move { hub.work().await })
        };
        let waiting = [wait(), wait(), wait()];
        tokio::task::yield_now().await;
        hub.job_arrived();
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        let woken = waiting.iter().filter(|task| task.is_finished()).count();
        assert_eq!(woken, 1);
        hub.work_arrived();
        let mut all = 0;
        for task in waiting {
            all += usize::from(task.await.unwrap() == Woken::WithAll);
        }
        assert_eq!(all, 2);
        // Nobody waits: the next one who does looks at once.
        hub.job_arrived();
        assert_eq!(hub.work().await, Woken::Alone);
        let early = hub.work();
        hub.work_arrived();
        assert_eq!(early.await, Woken::WithAll, "nothing is missed in between");
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
