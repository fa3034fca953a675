//! Who held which job, from when to when, and how that ended: a row a claim, kept after the node is gone.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::Expr,
};
use shared::{
    AttemptId, JobId, NodeId, OrganisationId, Timestamp,
    job::{JobPlace, JobStatus},
    training_node::NodeAttempt,
};
use uuid::Uuid;

use super::{Claimant, JobRecord};
use crate::{
    Error, Store,
    database::{insert, new_uuid, page},
    entity::{
        job,
        job_attempt::{Column, Entity, Model},
        node,
    },
    text::{from_json, from_name},
};

/// Notes that a node claimed a job.
pub(super) async fn begin(
    connection: &impl ConnectionTrait,
    row: &job::Model,
    by: Claimant<'_>,
    now: Timestamp,
) -> Result<(), Error> {
    let attempt = Model {
        id: new_uuid(now),
        job_id: row.id,
        token: row.token,
        node_id: by.node.uuid(),
        started_at: now.milliseconds(),
        ended_at: None,
        ended_as: None,
        reason: None,
        device: by.device.map(str::to_owned),
    };
    Ok(insert(connection, attempt).await?)
}

/// Notes what a job became when its node let go of it.
pub(super) async fn end(
    connection: &impl ConnectionTrait,
    row: &job::Model,
    next: JobStatus,
    reason: &str,
    now: Timestamp,
) -> Result<(), Error> {
    Entity::update_many()
        .col_expr(Column::EndedAt, Expr::value(now.milliseconds()))
        .col_expr(Column::EndedAs, Expr::value(next.as_str()))
        .col_expr(Column::Reason, Expr::value(reason))
        .filter(Column::JobId.eq(row.id))
        .filter(Column::Token.eq(row.token))
        .exec(connection)
        .await?;
    Ok(())
}

fn attempt(row: Model, job: &job::Model, viewer: OrganisationId) -> Result<NodeAttempt, Error> {
    let status = |name: String| from_name("job status", &name);
    Ok(NodeAttempt {
        id: AttemptId::from_uuid(row.id),
        job_id: JobId::from_uuid(row.job_id),
        kind: from_name("job kind", &job.kind)?,
        token: row.token,
        device: row.device,
        job_status: from_name("job status", &job.status)?,
        job_progress: from_json("job progress", &job.progress)?,
        visible: job.owner_id == viewer.uuid(),
        started_at: Timestamp::from_milliseconds(row.started_at),
        ended_at: row.ended_at.map(Timestamp::from_milliseconds),
        ended_as: row.ended_as.map(status).transpose()?,
        reason: row.reason,
    })
}

impl Store {
    /// The tries of a node as somebody of this organisation sees them, newest first, from below `after`.
    pub async fn list_attempts_any(
        &self,
        viewer: OrganisationId,
        node: NodeId,
        after: Option<AttemptId>,
        limit: u64,
    ) -> Result<Vec<NodeAttempt>, Error> {
        let query = Entity::find().filter(Column::NodeId.eq(node.uuid()));
        let found = page(query, Column::Id, after.map(AttemptId::uuid), limit);
        let found = self.with_jobs(found, viewer).await?.into_iter();
        Ok(found.map(|(_, attempt)| attempt).collect())
    }

    /// The tries of these nodes that go on, as somebody of this organisation sees them, oldest first.
    pub async fn current_attempts_any(
        &self,
        viewer: OrganisationId,
        nodes: &[NodeId],
    ) -> Result<HashMap<NodeId, Vec<NodeAttempt>>, Error> {
        let query = Entity::find()
            .filter(Column::NodeId.is_in(nodes.iter().map(|node| node.uuid())))
            .filter(Column::EndedAt.is_null())
            .order_by_asc(Column::Id);
        let mut found: HashMap<NodeId, Vec<NodeAttempt>> = HashMap::new();
        for (node, attempt) in self.with_jobs(query, viewer).await? {
            found
                .entry(NodeId::from_uuid(node))
                .or_default()
                .push(attempt);
        }
        Ok(found)
    }

    async fn with_jobs(
        &self,
        query: Select<Entity>,
        viewer: OrganisationId,
    ) -> Result<Vec<(Uuid, NodeAttempt)>, Error> {
        let rows = query.all(&self.reader).await?;
        let ids = rows.iter().map(|row| row.job_id);
        let jobs: HashMap<Uuid, job::Model> = job::Entity::find()
            .filter(job::Column::Id.is_in(ids))
            .all(&self.reader)
            .await?
            .into_iter()
            .map(|job| (job.id, job))
            .collect();
        rows.into_iter()
            // A job may have gone, with all of its tries, since they were read.
            .filter_map(|row| jobs.get(&row.job_id).map(|job| (row, job)))
            .map(|(row, job)| Ok((row.node_id, attempt(row, job, viewer)?)))
            .collect()
    }

    /// Fills in where each job runs, or ran to its end, by two queries for all of them; those that wait cost none.
    pub(super) async fn place_all(&self, jobs: &mut [JobRecord]) -> Result<(), Error> {
        let held = jobs.iter().filter(|job| is_placed(job));
        let tokens: HashMap<Uuid, i64> = held.map(|job| (job.id.uuid(), job.token)).collect();
        if tokens.is_empty() {
            return Ok(());
        }
        let tries = Entity::find()
            .filter(Column::JobId.is_in(tokens.keys().copied()))
            .all(&self.reader)
            .await?;
        // Canceled while it waited for another node, it is nowhere either.
        let was_lost = |row: &Model| row.ended_as.as_deref() == Some(JobStatus::Queued.as_str());
        let is_last = |row: &Model| tokens.get(&row.job_id) == Some(&row.token);
        let tries = tries
            .into_iter()
            .filter(|row| is_last(row) && !was_lost(row));
        let last: Vec<Model> = tries.collect();
        let names = self.node_names(&last).await?;
        let mut places: HashMap<Uuid, JobPlace> = last
            .into_iter()
            .filter_map(|row| {
                let node = names.get(&row.node_id)?.clone();
                let device = row.device;
                Some((row.job_id, JobPlace { node, device }))
            })
            .collect();
        for job in jobs {
            job.place = places.remove(&job.id.uuid());
        }
        Ok(())
    }

    async fn node_names(&self, tries: &[Model]) -> Result<HashMap<Uuid, String>, Error> {
        let names: Vec<(Uuid, String)> = node::Entity::find()
            .select_only()
            .columns([node::Column::Id, node::Column::Name])
            .filter(node::Column::Id.is_in(tries.iter().map(|row| row.node_id)))
            .into_tuple()
            .all(&self.reader)
            .await?;
        Ok(names.into_iter().collect())
    }
}

/// A job that waits is nowhere, whoever had it before.
fn is_placed(job: &JobRecord) -> bool {
    job.node_id.is_some() && job.status != JobStatus::Queued
}
