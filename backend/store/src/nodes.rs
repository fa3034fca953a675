//! Training nodes, as far as the ledger needs to know them.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    sea_query::{Expr, OnConflict},
};
use shared::{NodeId, Timestamp};
use uuid::Uuid;

use crate::{
    Error, Store,
    entity::node::{Column, Entity, Model},
    text::number,
};

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// Identifies the node.
    pub id: NodeId,
    /// What its operator calls it.
    pub name: String,
    /// Threads that it computes with.
    pub threads: u32,
    /// Memory that it may use.
    pub memory_bytes: u64,
}

/// Notes that a node gave a sign of life.
pub(crate) async fn see(
    connection: &impl ConnectionTrait,
    node: Uuid,
    now: Timestamp,
) -> Result<(), Error> {
    Entity::update_many()
        .col_expr(Column::SeenAt, Expr::value(now.milliseconds()))
        .filter(Column::Id.eq(node))
        .filter(Column::SeenAt.lt(now.milliseconds()))
        .exec(connection)
        .await?;
    Ok(())
}

impl Store {
    /// Registers a node or brings what is known of it up to date. A node must be known before it
    /// can claim.
    pub async fn touch_node(&self, node: &NodeRecord, now: Timestamp) -> Result<(), Error> {
        let row = Model {
            id: node.id.uuid(),
            name: node.name.clone(),
            threads: number("thread count", node.threads)?,
            memory_bytes: number("memory size", node.memory_bytes)?,
            created_at: now.milliseconds(),
            seen_at: now.milliseconds(),
        };
        let mut conflict = OnConflict::column(Column::Id);
        conflict.update_columns([
            Column::Name,
            Column::Threads,
            Column::MemoryBytes,
            Column::SeenAt,
        ]);
        Entity::insert(row.into_active_model())
            .on_conflict(conflict)
            .exec_without_returning(self.writer())
            .await?;
        Ok(())
    }

    /// How many nodes gave a sign of life at or after a moment.
    pub async fn count_nodes_online(&self, since: Timestamp) -> Result<u64, Error> {
        Ok(Entity::find()
            .filter(Column::SeenAt.gte(since.milliseconds()))
            .count(&self.reader)
            .await?)
    }
}
