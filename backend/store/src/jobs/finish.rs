//! The end of an attempt: everything it implies, in one transaction, once.

use sea_orm::ConnectionTrait;
use serde::Serialize;
use sha2::{Digest, Sha256};
use shared::{
    JobId, OrganisationId, Timestamp,
    job::{Failure, JobMetrics, JobStatus},
};

use super::{
    NewJob,
    cancel::CANCELED,
    enqueue::insert_job,
    ledger::{holds, lock, save, start, status, transition},
    studies::settle,
};
use crate::{
    Error, NewArtifact, NewGallery, Store, artifacts::publish, entity::job, galleries,
    text::to_json,
};

/// How an attempt ends.
#[derive(Clone, Debug)]
pub enum FinishJob {
    /// The outputs are uploaded.
    Succeeded {
        /// What the device measured.
        metrics: JobMetrics,
        /// The outputs.
        artifacts: Vec<NewArtifact>,
        /// What this server adds to them; no part of what the node said.
        issued: Vec<NewArtifact>,
        /// The jobs that this one implies, in order; their owner and parent are set here.
        follow_ups: Vec<NewJob>,
        /// The gallery that this job opens.
        gallery: Option<Box<NewGallery>>,
    },
    /// It failed.
    Failed {
        /// Why.
        failure: Failure,
        /// Whether the job goes back to the queue; a canceling job is canceled instead.
        retry: bool,
    },
    /// The node stopped because it was told to cancel.
    Canceled,
    /// The node stops working for us; the attempt does not count.
    Released,
}

/// What became of a finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// It counts; the job stands here now.
    Accepted(JobStatus),
    /// The same finish of the same attempt counted before.
    AlreadyDone,
    /// Another attempt owns the job, or it ended otherwise; nothing was changed.
    Fenced,
}

/// What makes two finishes the same: not the rows they imply, but what the node said.
#[derive(Serialize)]
enum Said<'a> {
    Succeeded(&'a [NewArtifact]),
    Failed(&'a Failure),
    Canceled,
    Released,
}

fn digest(finish: &FinishJob) -> Result<String, Error> {
    let said = match finish {
        FinishJob::Succeeded { artifacts, .. } => Said::Succeeded(artifacts),
        FinishJob::Failed { failure, .. } => Said::Failed(failure),
        FinishJob::Canceled => Said::Canceled,
        FinishJob::Released => Said::Released,
    };
    let json = to_json("job outcome", &said)?;
    Ok(hex::encode(Sha256::digest(json)))
}

async fn fail(
    connection: &impl ConnectionTrait,
    row: &mut job::Model,
    failure: &Failure,
    retry: bool,
    now: Timestamp,
) -> Result<(), Error> {
    if !retry {
        row.failure = Some(to_json("job failure", failure)?);
        return transition(connection, row, JobStatus::Failed, &failure.cause, now).await;
    }
    let reason = format!(
        "Attempt {} failed, another one follows: {}",
        row.attempts, failure.cause
    );
    requeue(connection, row, &reason, now).await
}

/// Back to the queue, or to its end where cancel was asked for.
async fn requeue(
    connection: &impl ConnectionTrait,
    row: &mut job::Model,
    reason: &str,
    now: Timestamp,
) -> Result<(), Error> {
    if status(row)? == JobStatus::Canceling {
        return transition(connection, row, JobStatus::Canceled, CANCELED, now).await;
    }
    transition(connection, row, JobStatus::Queued, reason, now).await
}

/// Enqueues what a success implies. Where cancel came too late, the follow-up is canceled at birth:
/// its owner wanted no more work, and can retry it.
async fn follow(
    connection: &impl ConnectionTrait,
    row: &job::Model,
    mut new: NewJob,
    canceling: bool,
    now: Timestamp,
) -> Result<(), Error> {
    new.owner_id = OrganisationId::from_uuid(row.owner_id);
    new.parent_id = Some(JobId::from_uuid(row.id));
    let mut next = insert_job(connection, new, now).await?;
    if canceling {
        transition(connection, &mut next, JobStatus::Canceled, CANCELED, now).await?;
        save(connection, &next).await?;
    }
    Ok(())
}

async fn succeed(
    connection: &impl ConnectionTrait,
    row: &mut job::Model,
    now: Timestamp,
) -> Result<bool, Error> {
    let canceling = status(row)? == JobStatus::Canceling;
    start(connection, row, now).await?; // it may have been faster than its first heartbeat
    transition(connection, row, JobStatus::Succeeded, "Done.", now).await?;
    Ok(canceling)
}

async fn apply(
    connection: &impl ConnectionTrait,
    row: &mut job::Model,
    finish: FinishJob,
    now: Timestamp,
) -> Result<(), Error> {
    match finish {
        FinishJob::Succeeded {
            metrics,
            artifacts,
            issued,
            follow_ups,
            gallery,
        } => {
            let canceling = succeed(connection, row, now).await?;
            row.metrics = Some(to_json("job metrics", &metrics)?);
            publish(connection, row, artifacts, now).await?;
            publish(connection, row, issued, now).await?;
            if let Some(new) = gallery {
                galleries::open(connection, row, *new, now).await?;
            }
            for new in follow_ups {
                follow(connection, row, new, canceling, now).await?;
            }
            Ok(())
        }
        FinishJob::Failed { failure, retry } => fail(connection, row, &failure, retry, now).await,
        FinishJob::Canceled => {
            let reason = "The node stopped without being asked; the job waits for another one.";
            requeue(connection, row, reason, now).await
        }
        FinishJob::Released => {
            row.attempts = (row.attempts - 1).max(0);
            let reason = "The node shut down; the job waits for another one.";
            requeue(connection, row, reason, now).await
        }
    }
}

impl Store {
    /// Ends an attempt if its token still holds the job: state, event, outputs, gallery and the jobs
    /// that follow commit together or not at all.
    pub async fn finish_job(
        &self,
        job: JobId,
        token: i64,
        finish: FinishJob,
        now: Timestamp,
    ) -> Result<Finished, Error> {
        let digest = digest(&finish)?;
        let transaction = self.begin().await?;
        let Some(mut row) = lock(&transaction, job).await? else {
            transaction.rollback().await?;
            return Ok(Finished::Fenced);
        };
        if !holds(&row, token) {
            transaction.rollback().await?;
            let same = row.token == token && row.finish_digest.as_ref() == Some(&digest);
            return Ok(if same {
                Finished::AlreadyDone
            } else {
                Finished::Fenced
            });
        }
        apply(&transaction, &mut row, finish, now).await?;
        row.finish_digest = Some(digest);
        save(&transaction, &row).await?;
        settle(&transaction, &row, now).await?;
        transaction.commit().await?;
        Ok(Finished::Accepted(status(&row)?))
    }
}
