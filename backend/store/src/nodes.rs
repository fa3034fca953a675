//! Training nodes, as far as the ledger needs to know them.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    sea_query::{Expr, OnConflict},
};
use shared::{NodeId, Timestamp};
use uuid::Uuid;

use crate::{
    Error, Store,
    entity::node::{Column, Entity, Model},
    text::{from_json_opt, number, to_json},
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
    /// Families of base models that it can train.
    pub families: Vec<String>,
}

impl TryFrom<Model> for NodeRecord {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        Ok(Self {
            id: NodeId::from_uuid(row.id),
            name: row.name,
            threads: number("thread count", row.threads)?,
            memory_bytes: number("memory size", row.memory_bytes)?,
            families: from_json_opt("family list", row.families.as_deref())?.unwrap_or_default(),
        })
    }
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
            families: Some(to_json("family list", &node.families)?),
        };
        let mut conflict = OnConflict::column(Column::Id);
        conflict.update_columns([
            Column::Name,
            Column::Threads,
            Column::MemoryBytes,
            Column::SeenAt,
            Column::Families,
        ]);
        Entity::insert(row.into_active_model())
            .on_conflict(conflict)
            .exec_without_returning(self.writer())
            .await?;
        Ok(())
    }

    /// The nodes that gave a sign of life at or after a moment.
    pub async fn list_nodes_online(&self, since: Timestamp) -> Result<Vec<NodeRecord>, Error> {
        Entity::find()
            .filter(Column::SeenAt.gte(since.milliseconds()))
            .all(&self.reader)
            .await?
            .into_iter()
            .map(NodeRecord::try_from)
            .collect()
    }
}
