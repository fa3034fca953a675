//! The jobs of a study: the one that plans, those that run cells, the one that puts everything together.
//!
//! Owns the rule that a study is put together once, after its last cell, and again only for cells that were retried. Refuses to know what cells are.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, sea_query::Query,
};
use shared::{
    JobId, OrganisationId, Timestamp,
    job::{JobKind, JobSpec, JobStatus},
    study::StudyTask,
};

use super::{
    JobRecord, NewJob,
    enqueue::insert_job,
    ledger::{lock, status},
};
use crate::{
    Error, Store,
    database::page,
    entity::job,
    text::{from_json, number, to_name},
};

fn study_kind() -> Result<String, Error> {
    to_name("job kind", &JobKind::Study)
}

/// Jobs that the planning job implied, oldest first.
async fn children(
    connection: &impl ConnectionTrait,
    plan: JobId,
) -> Result<Vec<job::Model>, Error> {
    Ok(job::Entity::find()
        .filter(job::Column::ParentId.eq(plan.uuid()))
        .filter(job::Column::Kind.eq(study_kind()?))
        .order_by_asc(job::Column::Id)
        .all(connection)
        .await?)
}

/// The part of a study that a job has.
fn task(row: &job::Model) -> Result<Option<StudyTask>, Error> {
    let spec: JobSpec = from_json("job specification", &row.spec)?;
    Ok(spec.evaluation.study.map(|order| order.task))
}

/// Whether all jobs of a study, oldest first, ended, and some cells ended well after the last time that it was put together.
///
/// Cells that failed can be retried after that; a merge that failed or was canceled, too, but it is not repeated by itself.
fn is_due(children: &[job::Model]) -> Result<bool, Error> {
    let mut is_due = false;
    for row in children {
        let status = status(row)?;
        if !status.is_final() {
            return Ok(false);
        }
        if task(row)? == Some(StudyTask::Merge) {
            is_due = false;
        } else {
            is_due |= status == JobStatus::Succeeded;
        }
    }
    Ok(is_due)
}

/// Queues the job that puts a study together, once, when all its cells ended and some of them well; again for cells that
/// were retried since.
///
/// `ended` is a job that was just saved, in the transaction that ended it: there is no moment in which the last cell is
/// over and nothing follows.
pub(super) async fn settle(
    connection: &impl ConnectionTrait,
    ended: &job::Model,
    now: Timestamp,
) -> Result<(), Error> {
    let over = ended.kind == study_kind()? && status(ended)?.is_final();
    let (true, Some(plan)) = (over, ended.parent_id) else {
        return Ok(());
    };
    let mut merge = again(ended)?;
    let Some(order) = merge.spec.evaluation.study.as_mut() else {
        return Ok(());
    };
    if order.task == StudyTask::Plan {
        return Ok(());
    }
    order.task = StudyTask::Merge;
    // Two last cells at once: one of them waits here and then finds the merge.
    let planned = lock(connection, JobId::from_uuid(plan)).await?;
    if planned.is_some() && is_due(&children(connection, JobId::from_uuid(plan)).await?)? {
        insert_job(connection, merge, now).await?;
    }
    Ok(())
}

/// Another job of the same study, told the same.
fn again(row: &job::Model) -> Result<NewJob, Error> {
    Ok(NewJob {
        owner_id: OrganisationId::from_uuid(row.owner_id),
        kind: JobKind::Study,
        spec: from_json("job specification", &row.spec)?,
        parent_id: row.parent_id.map(JobId::from_uuid),
        priority: row.priority,
        required_memory_bytes: number("memory size", row.required_memory_bytes)?,
        idempotency_key: None,
        traceparent: row.traceparent.clone(),
    })
}

impl Store {
    /// The owner's studies by their planning jobs, newest first, from below `after`.
    pub async fn list_studies(
        &self,
        owner: OrganisationId,
        after: Option<JobId>,
        limit: u64,
    ) -> Result<Vec<JobRecord>, Error> {
        let protect = Query::select()
            .column(job::Column::Id)
            .from(job::Entity)
            .and_where(job::Column::Kind.eq(to_name("job kind", &JobKind::Protect)?))
            .to_owned();
        let query = job::Entity::find()
            .filter(job::Column::OwnerId.eq(owner.uuid()))
            .filter(job::Column::Kind.eq(study_kind()?))
            .filter(job::Column::ParentId.in_subquery(protect));
        let rows = page(query, job::Column::Id, after.map(JobId::uuid), limit)
            .all(&self.reader)
            .await?;
        rows.into_iter().map(JobRecord::try_from).collect()
    }

    /// The jobs that the planning job of a study of this owner implied, oldest first.
    pub async fn list_study_jobs(
        &self,
        owner: OrganisationId,
        plan: JobId,
    ) -> Result<Vec<JobRecord>, Error> {
        let rows = children(&self.reader, plan).await?.into_iter();
        rows.filter(|row| row.owner_id == owner.uuid())
            .map(JobRecord::try_from)
            .collect()
    }
}
