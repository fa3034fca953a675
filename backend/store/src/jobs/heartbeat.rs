//! While a node works: the lease, the progress, the state to resume from.

use sea_orm::ConnectionTrait;
use shared::{
    JobId, NodeId, Timestamp, job::JobStatus, progress::Progress, training_node::NodeIntake,
};

use super::{
    ResumePoint,
    ledger::{lock_attempt, save, start, status, tell_progress},
};
use crate::{Error, Store, entity::job, nodes, text::number};

/// A sign of life of an attempt.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat<'a> {
    /// The node that says so, where its credential names one: another's job is none of its business.
    pub node: Option<NodeId>,
    /// When it arrived.
    pub now: Timestamp,
    /// Until when the node may be silent from here.
    pub lease_until: Timestamp,
    /// Whether the device has started.
    pub running: bool,
    /// What happened since the last one.
    pub progress: &'a [Progress],
}

/// Whether a lease goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// It does.
    Renewed {
        /// Whether the node must stop and say so.
        canceling: bool,
        /// Whether the node must give the job back.
        draining: bool,
    },
    /// Another attempt owns the job, or it ended; drop the work.
    Fenced,
}

async fn beat(
    connection: &impl ConnectionTrait,
    row: &mut job::Model,
    heartbeat: &Heartbeat<'_>,
) -> Result<Renewal, Error> {
    let now = heartbeat.now;
    row.lease_until = Some(heartbeat.lease_until.milliseconds());
    if heartbeat.running {
        start(connection, row, now).await?;
    }
    tell_progress(connection, row, heartbeat.progress, now).await?;
    let intake = match row.node_id {
        Some(node) => nodes::see(connection, node, now).await?,
        None => NodeIntake::Open,
    };
    Ok(Renewal::Renewed {
        canceling: status(row)? == JobStatus::Canceling,
        draining: intake == NodeIntake::Draining,
    })
}

impl Store {
    /// Renews a lease and takes in progress, in one transaction.
    pub async fn heartbeat(
        &self,
        job: JobId,
        token: i64,
        heartbeat: Heartbeat<'_>,
    ) -> Result<Renewal, Error> {
        let transaction = self.begin().await?;
        let by = |row: &job::Model| {
            heartbeat
                .node
                .is_none_or(|node| row.node_id == Some(node.uuid()))
        };
        let held = lock_attempt(&transaction, job, token).await?;
        let Some(mut row) = held.filter(by) else {
            transaction.rollback().await?;
            return Ok(Renewal::Fenced);
        };
        let renewal = beat(&transaction, &mut row, &heartbeat).await?;
        save(&transaction, &row).await?;
        transaction.commit().await?;
        Ok(renewal)
    }

    /// Adds progress without touching the lease; the number of the last event, `None` when fenced.
    pub async fn append_progress(
        &self,
        job: JobId,
        token: i64,
        progress: &[Progress],
        now: Timestamp,
    ) -> Result<Option<i64>, Error> {
        let transaction = self.begin().await?;
        let Some(mut row) = lock_attempt(&transaction, job, token).await? else {
            transaction.rollback().await?;
            return Ok(None);
        };
        tell_progress(&transaction, &mut row, progress, now).await?;
        save(&transaction, &row).await?;
        transaction.commit().await?;
        Ok(Some(row.last_sequence))
    }

    /// Registers uploaded state to resume from; `false` when fenced. An older step never replaces a
    /// newer one.
    pub async fn save_resume(
        &self,
        job: JobId,
        token: i64,
        resume: &ResumePoint,
    ) -> Result<bool, Error> {
        let step: i32 = number("resume step", resume.step)?;
        let transaction = self.begin().await?;
        let Some(mut row) = lock_attempt(&transaction, job, token).await? else {
            transaction.rollback().await?;
            return Ok(false);
        };
        if row.resume_step.is_none_or(|known| known <= step) {
            row.resume_step = Some(step);
            row.resume_sha256 = Some(resume.sha256.clone());
            row.resume_size_bytes = Some(number("resume size", resume.size_bytes)?);
            save(&transaction, &row).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }
}
