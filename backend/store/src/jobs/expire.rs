//! Silent nodes: what becomes of the jobs that they held.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};
use shared::{
    JobId, Timestamp,
    job::{Failure, JobStatus},
};
use uuid::Uuid;

use super::{
    JobRecord,
    cancel::CANCELED,
    ledger::{lock, save, status, transition},
    studies::settle,
};
use crate::{Error, Store, entity::job, text::to_json};

const SILENT: &str = "The node went silent; the job waits for another one.";

fn node_lost(attempts: i32) -> Failure {
    Failure {
        code: "node_lost".to_owned(),
        cause: format!("The node went silent {attempts} times in a row while it held this job."),
        evidence: "No heartbeat arrived before the lease ran out.".to_owned(),
        fix: "Check that the node has memory and disk for this job, then retry it.".to_owned(),
        retryable: true,
    }
}

async fn expire(
    connection: &impl ConnectionTrait,
    row: &mut job::Model,
    max_attempts: u32,
    now: Timestamp,
) -> Result<(), Error> {
    if status(row)? == JobStatus::Canceling {
        return transition(connection, row, JobStatus::Canceled, CANCELED, now).await;
    }
    if i64::from(row.attempts) < i64::from(max_attempts) {
        return transition(connection, row, JobStatus::Queued, SILENT, now).await;
    }
    let failure = node_lost(row.attempts);
    row.failure = Some(to_json("job failure", &failure)?);
    transition(connection, row, JobStatus::Failed, &failure.cause, now).await
}

impl Store {
    /// Takes every job back whose lease ran out: to the queue, or to its end when cancel was asked
    /// for or `max_attempts` nodes were lost on it. The jobs as they stand then.
    pub async fn expire_leases(
        &self,
        now: Timestamp,
        max_attempts: u32,
    ) -> Result<Vec<JobRecord>, Error> {
        let silent: Vec<Uuid> = job::Entity::find()
            .select_only()
            .column(job::Column::Id)
            .filter(job::Column::LeaseUntil.lt(now.milliseconds()))
            .into_tuple()
            .all(&self.reader)
            .await?;
        let mut expired = Vec::new();
        for id in silent {
            expired.extend(
                self.expire_job(JobId::from_uuid(id), now, max_attempts)
                    .await?,
            );
        }
        Ok(expired)
    }

    async fn expire_job(
        &self,
        id: JobId,
        now: Timestamp,
        max_attempts: u32,
    ) -> Result<Option<JobRecord>, Error> {
        let transaction = self.begin().await?;
        let is_silent = |row: &job::Model| {
            row.lease_until
                .is_some_and(|until| until < now.milliseconds())
        };
        let Some(mut row) = lock(&transaction, id).await?.filter(is_silent) else {
            transaction.rollback().await?;
            return Ok(None); // it spoke up, or ended, since it was listed
        };
        expire(&transaction, &mut row, max_attempts, now).await?;
        save(&transaction, &row).await?;
        settle(&transaction, &row, now).await?;
        transaction.commit().await?;
        Ok(Some(row.try_into()?))
    }
}
