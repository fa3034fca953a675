//! Wakes those who wait: event streams when a job moved, leases when there is work.
//!
//! Carries no data. Whoever is woken reads the database, so a missed wake-up loses nothing and no
//! buffer grows. What happens here is also a [`Signal`] to other servers, where a broker passes those on.

use std::{fmt, str::FromStr};

use shared::JobId;
use tokio::sync::{Notify, broadcast};

/// Wake-ups kept for a slow listener; more than these make it read the database once.
const CAPACITY: usize = 64;

/// Wake-ups kept for a broker that is busy.
const SIGNALS: usize = 1024;

/// What is told between servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// A job has new events.
    Moved(JobId),
    /// Any job may have.
    Events,
    /// One job may be claimed.
    Job,
    /// Jobs may be claimed, by nodes that could not before.
    Work,
    /// Anything may have happened.
    Look,
}

impl fmt::Display for Signal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved(job) => job.fmt(formatter),
            Self::Events => formatter.write_str("events"),
            Self::Job => formatter.write_str("job"),
            Self::Work => formatter.write_str("work"),
            Self::Look => formatter.write_str("look"),
        }
    }
}

impl FromStr for Signal {
    type Err = <JobId as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "events" => Self::Events,
            "job" => Self::Job,
            "work" => Self::Work,
            "look" => Self::Look,
            job => Self::Moved(job.parse()?),
        })
    }
}

/// What others are told of, and the span that it happened in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) signal: Signal,
    pub(crate) traceparent: Option<String>,
}

impl From<Signal> for Told {
    fn from(signal: Signal) -> Self {
        // Reports of a job are many, and wake nobody who works.
        let work = matches!(signal, Signal::Job | Signal::Work);
        Self {
            signal,
            traceparent: work.then(telemetry::here).flatten(),
        }
    }
}

/// Where wake-ups pass.
pub(crate) struct Hub {
    /// `None` for any job.
    moved: broadcast::Sender<Option<JobId>>,
    one: Notify,
    all: Notify,
    signals: broadcast::Sender<Told>,
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
            signals: broadcast::channel(SIGNALS).0,
        }
    }

    /// What happens here from now on.
    pub(crate) fn signals(&self) -> broadcast::Receiver<Told> {
        self.signals.subscribe()
    }

    /// Wakes those here whom a signal concerns.
    pub(crate) fn hear(&self, signal: Signal) {
        // Nobody listens most of the time; that is no fault.
        let events = |job| {
            let _ = self.moved.send(job);
        };
        match signal {
            Signal::Moved(job) => events(Some(job)),
            Signal::Events => events(None),
            // A hundred idle nodes need not all look for one job.
            Signal::Job => self.one.notify_one(),
            Signal::Work => self.all.notify_waiters(),
            Signal::Look => {
                events(None);
                self.all.notify_waiters();
            }
        }
    }

    fn tell(&self, signal: Signal) {
        self.hear(signal);
        // Without a broker nobody does.
        let _ = self.signals.send(signal.into());
    }

    /// Tells that a job has new events.
    pub(crate) fn job_moved(&self, job: JobId) {
        self.tell(Signal::Moved(job));
    }

    /// Tells that one job may be claimed.
    pub(crate) fn job_arrived(&self) {
        self.tell(Signal::Job);
    }

    /// Tells that jobs may be claimed, by nodes that could not before.
    pub(crate) fn work_arrived(&self) {
        self.tell(Signal::Work);
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
    moved: broadcast::Receiver<Option<JobId>>,
}

impl Listener {
    /// Resolves when the job may have moved; false once the server stops.
    pub(crate) async fn moved(&mut self) -> bool {
        loop {
            match self.moved.recv().await {
                Ok(None) | Err(broadcast::error::RecvError::Lagged(_)) => return true,
                Ok(Some(job)) if job == self.job => return true,
                Ok(Some(_)) => {}
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
    async fn what_happens_here_is_told_and_what_is_heard_is_not() {
        let hub = Hub::new();
        let mut signals = hub.signals();
        let said = [Signal::Moved(job(1)), Signal::Job, Signal::Work];
        hub.hear(Signal::Look);
        hub.job_moved(job(1));
        hub.job_arrived();
        hub.work_arrived();
        for signal in said {
            assert_eq!(signals.try_recv(), Ok(signal.into()));
            assert_eq!(signal.to_string().parse(), Ok(signal));
        }
        assert!(signals.try_recv().is_err(), "no echo");
        assert!("tomorrow".parse::<Signal>().is_err());
        let mut listener = hub.listen(job(2));
        hub.hear(Signal::Events);
        assert!(listener.moved().await);
        let (early, mut listener) = (hub.work(), hub.listen(job(2)));
        hub.hear(Signal::Look);
        // What waited for one job was told before.
        early.await;
        assert!(listener.moved().await);
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
