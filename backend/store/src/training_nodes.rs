//! Training nodes as operators manage them: made, joined once by a token, changed, removed.
//!
//! A removed node keeps its row and its history; its credential is worth nothing from then on.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType},
};
use shared::{
    JobId, NodeId, OrganisationId, Timestamp,
    limits::MAX_NODES,
    training_node::{NodeIntake, NodeOrigin},
};
use uuid::Uuid;

use crate::{
    Error, FinishJob, NodeRecord, Store,
    audit::{self, Deed},
    database::{insert, new_uuid, page},
    entity::{
        job,
        node::{Column, Entity, Model},
    },
    text::{from_name, to_name},
};

/// What a node is made of before it joined.
#[derive(Clone, Debug)]
pub struct NewNode {
    /// What it is called.
    pub name: String,
    /// Hash of the token that it joins by.
    pub join_hash: String,
    /// When that ends.
    pub join_expires_at: Timestamp,
}

/// What changes; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct NodeChange {
    /// What it is called.
    pub name: Option<String>,
    /// Whether it takes jobs.
    pub intake: Option<NodeIntake>,
}

/// A node with what its operator decided about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainingNodeRecord {
    /// What it said of itself.
    pub node: NodeRecord,
    /// Where it comes from.
    pub origin: NodeOrigin,
    /// Whether it takes jobs.
    pub intake: NodeIntake,
    /// When its join token ends, until it joined.
    pub join_expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it joined.
    pub joined_at: Option<Timestamp>,
    /// When it was removed.
    pub revoked_at: Option<Timestamp>,
    /// Its last sign of life.
    pub seen_at: Option<Timestamp>,
}

impl TryFrom<Model> for TrainingNodeRecord {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        let moment = Timestamp::from_milliseconds;
        Ok(Self {
            origin: from_name("node origin", &row.origin)?,
            intake: from_name("node intake", &row.intake)?,
            join_expires_at: row.join_expires_at.map(moment),
            created_at: moment(row.created_at),
            joined_at: row.joined_at.map(moment),
            revoked_at: row.revoked_at.map(moment),
            seen_at: (row.seen_at > 0).then(|| moment(row.seen_at)),
            node: row.try_into()?,
        })
    }
}

/// A node that was not removed, locked until the transaction ends.
async fn lock(connection: &impl ConnectionTrait, id: NodeId) -> Result<Option<Model>, Error> {
    let query = Entity::find_by_id(id.uuid())
        .filter(Column::RevokedAt.is_null())
        .lock(LockType::NoKeyUpdate);
    Ok(query.one(connection).await?)
}

impl Store {
    /// Makes a node that can join; `maker`'s organisation keeps the record of it. [`Error::TooManyNodes`].
    pub async fn create_node(
        &self,
        maker: OrganisationId,
        new: NewNode,
        now: Timestamp,
    ) -> Result<TrainingNodeRecord, Error> {
        let row = Model {
            id: new_uuid(now),
            name: new.name,
            threads: 0,
            memory_bytes: 0,
            created_at: now.milliseconds(),
            seen_at: 0,
            families: None,
            origin: to_name("node origin", &NodeOrigin::Joined)?,
            intake: to_name("node intake", &NodeIntake::Open)?,
            join_hash: Some(new.join_hash),
            join_expires_at: Some(new.join_expires_at.milliseconds()),
            credential_hash: None,
            joined_at: None,
            revoked_at: None,
            facts: None,
        };
        let transaction = self.begin().await?;
        let present = Entity::find().filter(Column::RevokedAt.is_null());
        if present.count(&transaction).await? >= MAX_NODES {
            transaction.rollback().await?;
            return Err(Error::TooManyNodes);
        }
        insert(&transaction, row.clone()).await?;
        let deed = Deed::new("node.created", NodeId::from_uuid(row.id)).detail(row.name.clone());
        audit::record(&transaction, maker, deed, now).await?;
        transaction.commit().await?;
        row.try_into()
    }

    /// Gives a node its credential for a token that works; `None` for one that does not, or no more.
    pub async fn join_node(
        &self,
        join_hash: &str,
        credential_hash: &str,
        now: Timestamp,
    ) -> Result<Option<TrainingNodeRecord>, Error> {
        let transaction = self.begin().await?;
        let waiting = Entity::find()
            .filter(Column::JoinHash.eq(join_hash))
            .filter(Column::JoinExpiresAt.gt(now.milliseconds()))
            .filter(Column::RevokedAt.is_null())
            .lock(LockType::NoKeyUpdate);
        let Some(mut row) = waiting.one(&transaction).await? else {
            transaction.rollback().await?;
            return Ok(None);
        };
        row.joined_at = Some(now.milliseconds());
        (row.join_hash, row.join_expires_at) = (None, None);
        row.credential_hash = Some(credential_hash.to_owned());
        Entity::update_many()
            .col_expr(Column::JoinHash, Expr::value(None::<String>))
            .col_expr(Column::JoinExpiresAt, Expr::value(None::<i64>))
            .col_expr(Column::CredentialHash, Expr::value(credential_hash))
            .col_expr(Column::JoinedAt, Expr::value(now.milliseconds()))
            .filter(Column::Id.eq(row.id))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        row.try_into().map(Some)
    }

    /// The node that a credential belongs to.
    pub async fn find_node_by_credential(
        &self,
        credential_hash: &str,
    ) -> Result<Option<NodeId>, Error> {
        let found: Option<Uuid> = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::CredentialHash.eq(credential_hash))
            .into_tuple()
            .one(&self.reader)
            .await?;
        Ok(found.map(NodeId::from_uuid))
    }

    /// The nodes that were not removed, newest first, from below `after`.
    pub async fn list_nodes_any(
        &self,
        after: Option<NodeId>,
        limit: u64,
    ) -> Result<Vec<TrainingNodeRecord>, Error> {
        let query = Entity::find().filter(Column::RevokedAt.is_null());
        page(query, Column::Id, after.map(NodeId::uuid), limit)
            .all(&self.reader)
            .await?
            .into_iter()
            .map(TrainingNodeRecord::try_from)
            .collect()
    }

    /// A node, removed or not.
    pub async fn find_node_any(&self, id: NodeId) -> Result<Option<TrainingNodeRecord>, Error> {
        Entity::find_by_id(id.uuid())
            .one(&self.reader)
            .await?
            .map(TrainingNodeRecord::try_from)
            .transpose()
    }

    /// Changes a node that still is what the caller saw; `None` where there is none, or no more.
    pub async fn update_node(
        &self,
        maker: OrganisationId,
        (id, seen): (NodeId, Option<&TrainingNodeRecord>),
        change: NodeChange,
        now: Timestamp,
    ) -> Result<Option<TrainingNodeRecord>, Error> {
        let transaction = self.begin().await?;
        let Some(mut row) = lock(&transaction, id).await? else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let present: NodeIntake = from_name("node intake", &row.intake)?;
        if seen.is_some_and(|seen| (&seen.node.name, seen.intake) != (&row.name, present)) {
            transaction.rollback().await?;
            return Err(Error::Changed);
        }
        if let Some(name) = change.name {
            row.name = name;
        }
        if let Some(intake) = change.intake {
            row.intake = to_name("node intake", &intake)?;
        }
        Entity::update_many()
            .col_expr(Column::Name, Expr::value(row.name.clone()))
            .col_expr(Column::Intake, Expr::value(row.intake.clone()))
            .filter(Column::Id.eq(row.id))
            .exec(&transaction)
            .await?;
        let deed = Deed::new("node.updated", id).detail(row.intake.clone());
        audit::record(&transaction, maker, deed, now).await?;
        transaction.commit().await?;
        row.try_into().map(Some)
    }

    /// Removes a node and gives its jobs back to the queue; `false` where there is none. Again is no harm.
    ///
    /// [`Error::OwnNode`] for one that the server starts itself.
    pub async fn revoke_node(
        &self,
        maker: OrganisationId,
        id: NodeId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let transaction = self.begin().await?;
        let Some(row) = lock(&transaction, id).await? else {
            transaction.rollback().await?;
            return Ok(self.find_node_any(id).await?.is_some());
        };
        let origin: NodeOrigin = from_name("node origin", &row.origin)?;
        if origin == NodeOrigin::Local {
            transaction.rollback().await?;
            return Err(Error::OwnNode);
        }
        Entity::update_many()
            .col_expr(Column::RevokedAt, Expr::value(now.milliseconds()))
            .col_expr(Column::JoinHash, Expr::value(None::<String>))
            .col_expr(Column::JoinExpiresAt, Expr::value(None::<i64>))
            .col_expr(Column::CredentialHash, Expr::value(None::<String>))
            .filter(Column::Id.eq(row.id))
            .exec(&transaction)
            .await?;
        audit::record(&transaction, maker, Deed::new("node.removed", id), now).await?;
        transaction.commit().await?;
        self.release_jobs(id, now).await?;
        Ok(true)
    }

    /// What a node that is gone holds goes back to the queue; where this is cut off, the leases run out by themselves.
    async fn release_jobs(&self, node: NodeId, now: Timestamp) -> Result<(), Error> {
        let held: Vec<(Uuid, i64)> = job::Entity::find()
            .select_only()
            .columns([job::Column::Id, job::Column::Token])
            .filter(job::Column::NodeId.eq(node.uuid()))
            .filter(job::Column::LeaseUntil.is_not_null())
            .into_tuple()
            .all(&self.reader)
            .await?;
        for (id, token) in held {
            self.finish_job(JobId::from_uuid(id), token, FinishJob::Released, now)
                .await?;
        }
        Ok(())
    }
}
