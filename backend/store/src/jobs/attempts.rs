//! Who held which job, from when to when, and how that ended: a row a claim, kept after the node is gone.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Select, sea_query::Expr,
};
use shared::{AttemptId, JobId, NodeId, Timestamp, job::JobStatus, training_node::NodeAttempt};
use uuid::Uuid;

use crate::{
    Error, Store,
    database::{insert, new_uuid, page},
    entity::{
        job,
        job_attempt::{Column, Entity, Model},
    },
    text::from_name,
};

/// Notes that a node claimed a job.
pub(super) async fn begin(
    connection: &impl ConnectionTrait,
    row: &job::Model,
    node: NodeId,
    now: Timestamp,
) -> Result<(), Error> {
    let attempt = Model {
        id: new_uuid(now),
        job_id: row.id,
        token: row.token,
        node_id: node.uuid(),
        started_at: now.milliseconds(),
        ended_at: None,
        ended_as: None,
        reason: None,
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

fn attempt(row: Model, kind: &str) -> Result<NodeAttempt, Error> {
    let status = |name: String| from_name("job status", &name);
    Ok(NodeAttempt {
        id: AttemptId::from_uuid(row.id),
        job_id: JobId::from_uuid(row.job_id),
        kind: from_name("job kind", kind)?,
        token: row.token,
        started_at: Timestamp::from_milliseconds(row.started_at),
        ended_at: row.ended_at.map(Timestamp::from_milliseconds),
        ended_as: row.ended_as.map(status).transpose()?,
        reason: row.reason,
    })
}

impl Store {
    /// The tries of a node, newest first, from below `after`.
    pub async fn list_attempts_any(
        &self,
        node: NodeId,
        after: Option<AttemptId>,
        limit: u64,
    ) -> Result<Vec<NodeAttempt>, Error> {
        let query = Entity::find().filter(Column::NodeId.eq(node.uuid()));
        let found = page(query, Column::Id, after.map(AttemptId::uuid), limit);
        let found = self.with_kinds(found).await?.into_iter();
        Ok(found.map(|(_, attempt)| attempt).collect())
    }

    /// The tries of these nodes that go on, oldest first.
    pub async fn current_attempts_any(
        &self,
        nodes: &[NodeId],
    ) -> Result<HashMap<NodeId, Vec<NodeAttempt>>, Error> {
        let query = Entity::find()
            .filter(Column::NodeId.is_in(nodes.iter().map(|node| node.uuid())))
            .filter(Column::EndedAt.is_null())
            .order_by_asc(Column::Id);
        let mut found: HashMap<NodeId, Vec<NodeAttempt>> = HashMap::new();
        for (node, attempt) in self.with_kinds(query).await? {
            found
                .entry(NodeId::from_uuid(node))
                .or_default()
                .push(attempt);
        }
        Ok(found)
    }

    async fn with_kinds(&self, query: Select<Entity>) -> Result<Vec<(Uuid, NodeAttempt)>, Error> {
        let rows = query.all(&self.reader).await?;
        let ids = rows.iter().map(|row| row.job_id);
        let jobs: HashMap<Uuid, String> = job::Entity::find()
            .filter(job::Column::Id.is_in(ids))
            .all(&self.reader)
            .await?
            .into_iter()
            .map(|job| (job.id, job.kind))
            .collect();
        rows.into_iter()
            // A job may have gone, with all of its tries, since they were read.
            .filter_map(|row| jobs.get(&row.job_id).map(|kind| (row, kind)))
            .map(|(row, kind)| Ok((row.node_id, attempt(row, kind)?)))
            .collect()
    }
}
