//! One slot of a node: asks for a job, works on it, asks again, until told to stop.

use std::{sync::Arc, time::Duration};

use shared::node::CreateLease;
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use crate::{
    Error, Result,
    attempt::{self, Workshop},
    room::Room,
};

/// Pause while there is nothing to do.
const IDLE_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause while the server is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Room for one job at a time.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) workshop: Workshop,
    /// What it asks by; the memory that is left goes in each time.
    pub(crate) request: CreateLease,
    /// What it shares with the other slots of its device.
    pub(crate) room: Arc<Room>,
    pub(crate) stop: watch::Receiver<bool>,
}

impl Slot {
    /// Works until it is told to stop, or the server refuses the node's token.
    pub(crate) async fn run(mut self) -> Result<()> {
        let room = Arc::clone(&self.room);
        let mut pause = IDLE_PAUSE;
        while !*self.stop.borrow() {
            let turn = tokio::select! {
                turn = room.turn() => turn,
                () = stopped(&mut self.stop) => break,
            };
            if let Some(device) = &mut self.request.device {
                device.free_memory_bytes = room.free_bytes();
            }
            // The server answers late while there is nothing to do.
            let asked = Instant::now();
            let lease = tokio::select! {
                lease = self.workshop.client.lease(&self.request) => lease,
                () = stopped(&mut self.stop) => break,
            };
            match lease {
                Ok(Some(lease)) => {
                    let share = room.take(lease.required_memory_bytes);
                    drop(turn);
                    let device = self.workshop.device;
                    tracing::info!(job.id = %lease.job_id, attempt = lease.attempt, %device, "lease taken");
                    pause = IDLE_PAUSE;
                    attempt::run(&self.workshop, lease, self.stop.clone()).await;
                    drop(share);
                    continue;
                }
                Ok(None) => {
                    pause = IDLE_PAUSE;
                    if asked.elapsed() > IDLE_PAUSE {
                        continue;
                    }
                }
                Err(
                    error @ Error::Refused {
                        status: 401 | 403, ..
                    },
                ) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "no lease");
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            // The turn goes on: another slot of this device would get the same answer.
            tokio::select! {
                () = tokio::time::sleep(uneven(pause)) => {}
                () = stopped(&mut self.stop) => {}
            }
        }
        Ok(())
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Half to one and a half of a pause: nodes that lost their server at once do not all come back at once.
fn uneven(pause: Duration) -> Duration {
    let random = Uuid::now_v7().as_bytes()[15];
    pause / 2 + pause * u32::from(random) / 255
}
