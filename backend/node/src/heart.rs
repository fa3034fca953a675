//! The heartbeat: keeps the lease, carries progress up and orders down, never waits for the trainer.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use shared::{
    JobId,
    node::{Heartbeat, Lease, NodeCommand},
    progress::Progress,
};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use crate::{Error, client::Client};

/// Most reports that one beat carries (node protocol).
const BATCH: usize = 1000;
/// Reports kept while the server is away; the oldest go first.
const KEPT: usize = 20_000;
/// A person watches: reports wait no longer than this.
const REPORT_PAUSE: Duration = Duration::from_millis(500);
/// A person who cancels waits no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// For the last reports of an attempt.
const FLUSH: Duration = Duration::from_secs(15);

/// What the attempt must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Go on.
    Continue,
    /// Stop: the owner canceled.
    Cancel,
    /// Stop: the lease is gone.
    Fenced,
    /// Stop: this node goes away.
    Leave,
}

#[derive(Debug, Default)]
struct Pulse {
    running: bool,
    waiting: VecDeque<Progress>,
}

/// A beating heart; it stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Heart {
    pulse: Arc<Mutex<Pulse>>,
    task: JoinHandle<()>,
    beat: Beat,
}

#[derive(Clone, Debug)]
struct Beat {
    client: Client,
    job: JobId,
    token: i64,
    pulse: Arc<Mutex<Pulse>>,
    orders: watch::Sender<Order>,
}

impl Heart {
    /// Starts to beat for a fresh lease.
    pub(crate) fn start(client: &Client, lease: &Lease, orders: watch::Sender<Order>) -> Self {
        let pulse = Arc::new(Mutex::new(Pulse::default()));
        let beat = Beat {
            client: client.clone(),
            job: lease.job_id,
            token: lease.token,
            pulse: Arc::clone(&pulse),
            orders,
        };
        let beating = beat.clone().keep(Duration::from_secs(lease.lease_seconds));
        let task = tokio::spawn(telemetry::carried(beating));
        Self { pulse, task, beat }
    }

    /// The device has started.
    pub(crate) fn set_running(&self) {
        lock(&self.pulse).running = true;
    }

    /// Queues a report for the next beat.
    pub(crate) fn report(&self, progress: Progress) {
        let mut pulse = lock(&self.pulse);
        if let (Progress::Step(new), Some(Progress::Step(last))) = (&progress, pulse.waiting.back())
            && new.phase == last.phase
        {
            pulse.waiting.pop_back();
        }
        pulse.waiting.push_back(progress);
        if pulse.waiting.len() > KEPT {
            pulse.waiting.pop_front();
        }
    }

    /// Sends what is still queued.
    pub(crate) async fn flush(&self) {
        while !lock(&self.pulse).waiting.is_empty() {
            if self.beat.once(FLUSH).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Beat {
    async fn keep(self, lease: Duration) {
        let mut lease = lease;
        let mut renewed = Instant::now();
        let mut beaten = Instant::now();
        let mut due = Duration::ZERO;
        loop {
            let reports = !lock(&self.pulse).waiting.is_empty();
            let pause = if reports { due.min(REPORT_PAUSE) } else { due };
            let left = pause.saturating_sub(beaten.elapsed());
            if !left.is_zero() {
                tokio::time::sleep(left.min(REPORT_PAUSE / 2)).await;
                continue;
            }
            beaten = Instant::now();
            // A beat that hangs must not outlast the lease.
            let left = lease.saturating_sub(renewed.elapsed());
            match self.once(left.max(REPORT_PAUSE)).await {
                Ok(seconds) => {
                    lease = Duration::from_secs(seconds);
                    renewed = beaten;
                }
                // Whoever knows this node no more takes nothing from it either.
                Err(
                    Error::Fenced
                    | Error::Refused {
                        status: 401 | 403, ..
                    },
                ) => {
                    self.order(Order::Fenced);
                }
                Err(error) => {
                    tracing::warn!(%error, "a heartbeat was lost");
                    // Another node may hold the job by now: stop before it finds two of us.
                    if renewed.elapsed() >= lease {
                        self.order(Order::Fenced);
                    }
                }
            }
            due = (lease / 3).min(LONGEST_PAUSE);
        }
    }

    /// One beat, within a limit; gives the seconds until the lease runs out. What is not taken waits for the next one.
    async fn once(&self, limit: Duration) -> Result<u64, Error> {
        let (running, progress) = {
            let mut pulse = lock(&self.pulse);
            let count = pulse.waiting.len().min(BATCH);
            (
                pulse.running,
                pulse.waiting.drain(..count).collect::<Vec<_>>(),
            )
        };
        let beat = Heartbeat {
            token: self.token,
            running,
            progress,
        };
        let slow = || Err(Error::Unreachable("no answer in time".to_owned()));
        let answer = tokio::time::timeout(limit, self.client.heartbeat(self.job, &beat)).await;
        match answer.unwrap_or_else(|_| slow()) {
            Ok(answer) => {
                match answer.command {
                    NodeCommand::Continue => {}
                    NodeCommand::Cancel => self.order(Order::Cancel),
                    NodeCommand::Release => self.order(Order::Leave),
                    NodeCommand::Fenced => self.order(Order::Fenced),
                }
                Ok(answer.lease_seconds)
            }
            Err(error) => {
                let mut pulse = lock(&self.pulse);
                for progress in beat.progress.into_iter().rev() {
                    pulse.waiting.push_front(progress);
                }
                Err(error)
            }
        }
    }

    fn order(&self, order: Order) {
        give(&self.orders, order);
    }
}

/// Passes an order on unless a stronger one stands.
pub(crate) fn give(orders: &watch::Sender<Order>, order: Order) {
    orders.send_if_modified(|current| {
        let stronger = *current == Order::Continue || order == Order::Fenced;
        let changes = stronger && *current != order;
        if changes {
            *current = order;
        }
        changes
    });
}

/// Waits for anything but `Continue`.
pub(crate) async fn interruption(orders: &mut watch::Receiver<Order>) -> Order {
    let order = orders
        .wait_for(|order| *order != Order::Continue)
        .await
        .map(|order| *order);
    match order {
        Ok(order) => order,
        // Nobody is left who could order anything.
        Err(_) => std::future::pending().await,
    }
}

fn lock(pulse: &Mutex<Pulse>) -> std::sync::MutexGuard<'_, Pulse> {
    pulse.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
