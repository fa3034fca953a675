//! Training nodes, as far as the ledger needs to know them: what they can do, and that they are there.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect, Select,
    sea_query::{Expr, OnConflict},
};
use shared::{
    NodeId, Timestamp,
    training_node::{NodeFacts, NodeIntake, NodeOrigin},
};
use uuid::Uuid;

use crate::{
    Error, Store,
    entity::node::{Column, Entity, Model},
    text::{from_json_opt, from_name, number, to_json, to_name},
};

/// How exact a sign of life is kept: a write for each would be most of what an idle node costs.
const EXACT_MILLISECONDS: i64 = 5000;

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// Identifies the node.
    pub id: NodeId,
    /// What it calls itself; one that joined is called as its operator said.
    pub name: String,
    /// Threads that it computes with.
    pub threads: u32,
    /// Memory that it may use.
    pub memory_bytes: u64,
    /// Families of base models that it can train.
    pub families: Vec<String>,
    /// What it found on its machine.
    pub facts: Option<NodeFacts>,
}

/// Nodes that are alike in what a launch asks of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeKind {
    /// Families of base models that they can train.
    pub families: Vec<String>,
    /// Memory that each may use.
    pub memory_bytes: u64,
    /// How many there are.
    pub nodes: u64,
}

/// The families that a row names.
fn families(named: Option<&str>) -> Result<Vec<String>, Error> {
    Ok(from_json_opt("family list", named)?.unwrap_or_default())
}

impl TryFrom<Model> for NodeRecord {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        Ok(Self {
            id: NodeId::from_uuid(row.id),
            name: row.name,
            threads: number("thread count", row.threads)?,
            memory_bytes: number("memory size", row.memory_bytes)?,
            families: families(row.families.as_deref())?,
            facts: from_json_opt("node facts", row.facts.as_deref())?,
        })
    }
}

impl NodeRecord {
    fn row(&self, now: Timestamp) -> Result<Model, Error> {
        Ok(Model {
            id: self.id.uuid(),
            name: self.name.clone(),
            threads: number("thread count", self.threads)?,
            memory_bytes: number("memory size", self.memory_bytes)?,
            created_at: now.milliseconds(),
            seen_at: now.milliseconds(),
            families: Some(to_json("family list", &self.families)?),
            origin: to_name("node origin", &NodeOrigin::Local)?,
            intake: to_name("node intake", &NodeIntake::Open)?,
            join_hash: None,
            join_expires_at: None,
            credential_hash: None,
            joined_at: None,
            revoked_at: None,
            facts: match &self.facts {
                Some(facts) => Some(to_json("node facts", facts)?),
                None => None,
            },
        })
    }
}

/// Whether what is known says as much as `row` does, and lately.
fn is_known(known: &Model, row: &Model, joined: bool) -> bool {
    (known.seen_at..known.seen_at + EXACT_MILLISECONDS).contains(&row.seen_at)
        && (joined || known.name == row.name)
        && (known.threads, known.memory_bytes) == (row.threads, row.memory_bytes)
        && (&known.families, &known.facts) == (&row.families, &row.facts)
}

/// Notes that a node gave a sign of life; whether it takes jobs.
pub(crate) async fn see(
    connection: &impl ConnectionTrait,
    node: Uuid,
    now: Timestamp,
) -> Result<NodeIntake, Error> {
    let Some(row) = Entity::find_by_id(node).one(connection).await? else {
        return Ok(NodeIntake::Open);
    };
    if row.seen_at + EXACT_MILLISECONDS <= now.milliseconds() {
        Entity::update_many()
            .col_expr(Column::SeenAt, Expr::value(now.milliseconds()))
            .filter(Column::Id.eq(node))
            .exec(connection)
            .await?;
    }
    from_name("node intake", &row.intake)
}

impl Store {
    /// Registers a node or brings what is known of it up to date. A node must be known before it can claim.
    ///
    /// One that joined has its row already, and keeps the name that its operator gave it. A sign of life is worth no sync of the
    /// disk: a thousand idle nodes give a hundred a second, and each gives another one soon.
    pub async fn touch_node(
        &self,
        node: &NodeRecord,
        joined: bool,
        now: Timestamp,
    ) -> Result<(), Error> {
        let row = node.row(now)?;
        let known = Entity::find_by_id(row.id).one(&self.reader).await?;
        if known.is_some_and(|known| is_known(&known, &row, joined)) {
            return Ok(());
        }
        if joined {
            return self.update_joined(row).await;
        }
        let mut conflict = OnConflict::column(Column::Id);
        conflict.update_columns([
            Column::Name,
            Column::Threads,
            Column::MemoryBytes,
            Column::SeenAt,
            Column::Families,
            Column::Facts,
        ]);
        Entity::insert(row.into_active_model())
            .on_conflict(conflict)
            .exec_without_returning(&self.writer_with_the_next()?)
            .await?;
        Ok(())
    }

    async fn update_joined(&self, row: Model) -> Result<(), Error> {
        Entity::update_many()
            .col_expr(Column::Threads, Expr::value(row.threads))
            .col_expr(Column::MemoryBytes, Expr::value(row.memory_bytes))
            .col_expr(Column::SeenAt, Expr::value(row.seen_at))
            .col_expr(Column::Families, Expr::value(row.families))
            .col_expr(Column::Facts, Expr::value(row.facts))
            .filter(Column::Id.eq(row.id))
            .exec(&self.writer_with_the_next()?)
            .await?;
        Ok(())
    }

    /// The nodes that gave a sign of life at or after a moment, and take jobs.
    pub async fn list_nodes_online(&self, since: Timestamp) -> Result<Vec<NodeRecord>, Error> {
        online(since)?
            .all(&self.reader)
            .await?
            .into_iter()
            .map(NodeRecord::try_from)
            .collect()
    }

    /// The same nodes by what they can train and what memory they have: a thousand of them are often of a few kinds.
    pub async fn kinds_of_nodes_online(&self, since: Timestamp) -> Result<Vec<NodeKind>, Error> {
        let rows: Vec<(Option<String>, i64, i64)> = online(since)?
            .select_only()
            .columns([Column::Families, Column::MemoryBytes])
            .column_as(Column::Id.count(), "nodes")
            .group_by(Column::Families)
            .group_by(Column::MemoryBytes)
            .into_tuple()
            .all(&self.reader)
            .await?;
        let kinds = rows.into_iter().map(|(named, memory, nodes)| {
            Ok(NodeKind {
                families: families(named.as_deref())?,
                memory_bytes: number("memory size", memory)?,
                nodes: number("node count", nodes)?,
            })
        });
        kinds.collect()
    }
}

fn online(since: Timestamp) -> Result<Select<Entity>, Error> {
    Ok(Entity::find()
        .filter(Column::SeenAt.gte(since.milliseconds()))
        .filter(Column::Intake.eq(to_name("node intake", &NodeIntake::Open)?))
        .filter(Column::RevokedAt.is_null()))
}
