//! The audit log: one hash chain an owner, written in the transaction of what it tells.
//!
//! Refuses changes (the tables have triggers) and forks: an entry is added under the lock of its chain's head.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
    sea_query::{Expr, LockType, OnConflict},
};
use shared::{
    AuditEventId, OrganisationId, Timestamp,
    audit::{AuditEntry, AuditEvent, AuditHead, AuditObject, NO_HASH},
};
use uuid::Uuid;

use crate::{
    Error, Store, attribution,
    database::{insert, new_uuid},
    entity::{audit_chain, audit_event},
    text::{from_json, number, to_json},
};

mod chain;

pub use chain::{ChainCheck, ChainFault, chain_hash};

/// What one entry tells, beside who and when.
pub(crate) struct Deed<'a> {
    pub(crate) action: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) id: String,
    pub(crate) detail: Option<String>,
    /// Somebody acts who is no member: the log's owner is not told from where.
    pub(crate) by_outsider: bool,
}

impl<'a> Deed<'a> {
    /// `action` is `noun.verb`: the noun is the object's kind.
    pub(crate) fn new(action: &'a str, id: impl std::fmt::Display) -> Self {
        Self {
            action,
            kind: action.split_once('.').map_or(action, |(noun, _)| noun),
            id: id.to_string(),
            detail: None,
            by_outsider: false,
        }
    }

    pub(crate) fn by_outsider(self, by_outsider: bool) -> Self {
        Self {
            by_outsider,
            ..self
        }
    }

    pub(crate) fn detail(self, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..self
        }
    }
}

/// Adds an entry to an owner's log; last in its transaction, because it holds the chain's lock until the end.
pub(crate) async fn record(
    connection: &impl ConnectionTrait,
    owner: OrganisationId,
    deed: Deed<'_>,
    now: Timestamp,
) -> Result<(), Error> {
    let head = lock_head(connection, owner.uuid()).await?;
    let sequence = head.sequence + 1;
    let (actor, address) = attribution::present();
    let address = address.filter(|_| !deed.by_outsider);
    let id = new_uuid(now);
    let entry = AuditEntry {
        action: deed.action.to_owned(),
        actor,
        address,
        at: now,
        detail: deed.detail,
        id: AuditEventId::from_uuid(id),
        log: owner,
        object: Some(AuditObject {
            id: deed.id,
            kind: deed.kind.to_owned(),
        }),
        sequence: number("audit sequence", sequence)?,
    };
    let entry = to_json("audit entry", &entry)?;
    let row = audit_event::Model {
        id,
        log_id: owner.uuid(),
        sequence,
        hash: chain_hash(&head.hash, &entry),
        previous_hash: head.hash,
        entry,
    };
    move_head(connection, &row).await?;
    Ok(insert(connection, row).await?)
}

/// The end of a chain, locked until the transaction ends; a new chain gets one.
async fn lock_head(
    connection: &impl ConnectionTrait,
    log: Uuid,
) -> Result<audit_chain::Model, Error> {
    let query = audit_chain::Entity::find_by_id(log).lock(LockType::Update);
    if let Some(head) = query.clone().one(connection).await? {
        return Ok(head);
    }
    let first = audit_chain::Model {
        log_id: log,
        sequence: 0,
        hash: NO_HASH.to_owned(),
    };
    audit_chain::Entity::insert(first.clone().into_active_model())
        .on_conflict(
            OnConflict::column(audit_chain::Column::LogId)
                .do_nothing()
                .to_owned(),
        )
        .exec_without_returning(connection)
        .await?;
    Ok(query.one(connection).await?.unwrap_or(first))
}

async fn move_head(
    connection: &impl ConnectionTrait,
    row: &audit_event::Model,
) -> Result<(), Error> {
    use audit_chain::Column;
    audit_chain::Entity::update_many()
        .col_expr(Column::Sequence, Expr::value(row.sequence))
        .col_expr(Column::Hash, Expr::value(row.hash.clone()))
        .filter(Column::LogId.eq(row.log_id))
        .exec(connection)
        .await?;
    Ok(())
}

/// Removes a whole log; gives its last hash.
pub(crate) async fn remove(
    connection: &impl ConnectionTrait,
    owner: OrganisationId,
) -> Result<String, Error> {
    let head = lock_head(connection, owner.uuid()).await?;
    audit_chain::Entity::delete_by_id(owner.uuid())
        .exec(connection)
        .await?;
    audit_event::Entity::delete_many()
        .filter(audit_event::Column::LogId.eq(owner.uuid()))
        .exec(connection)
        .await?;
    Ok(head.hash)
}

fn event(row: audit_event::Model) -> Result<AuditEvent, Error> {
    Ok(AuditEvent {
        entry: from_json("audit entry", &row.entry)?,
        hash: row.hash,
        previous_hash: row.previous_hash,
    })
}

impl Store {
    /// Adds an entry that no other row belongs to, such as a download.
    pub async fn record_deed(
        &self,
        owner: OrganisationId,
        (action, object): (&str, String),
        detail: Option<String>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let transaction = self.begin().await?;
        let deed = Deed {
            detail,
            ..Deed::new(action, object)
        };
        record(&transaction, owner, deed, now).await?;
        Ok(transaction.commit().await?)
    }

    /// Entries of an owner's log, newest first, from below `after`.
    pub async fn list_audit_events(
        &self,
        owner: OrganisationId,
        after: Option<AuditEventId>,
        limit: u64,
    ) -> Result<Vec<AuditEvent>, Error> {
        let mut query =
            audit_event::Entity::find().filter(audit_event::Column::LogId.eq(owner.uuid()));
        if let Some(after) = after {
            let last = audit_event::Entity::find_by_id(after.uuid())
                .filter(audit_event::Column::LogId.eq(owner.uuid()));
            let Some(last) = last.one(&self.reader).await? else {
                return Ok(Vec::new());
            };
            query = query.filter(audit_event::Column::Sequence.lt(last.sequence));
        }
        let rows = query
            .order_by_desc(audit_event::Column::Sequence)
            .limit(limit)
            .all(&self.reader)
            .await?;
        rows.into_iter().map(event).collect()
    }

    /// Entries of an owner's log as they are stored, oldest first, above a sequence: the entry's text, its hash
    /// and the hash before.
    pub async fn audit_rows(
        &self,
        owner: OrganisationId,
        above: u64,
        limit: u64,
    ) -> Result<Vec<AuditRow>, Error> {
        let above: i64 = number("audit sequence", above)?;
        let rows = audit_event::Entity::find()
            .filter(audit_event::Column::LogId.eq(owner.uuid()))
            .filter(audit_event::Column::Sequence.gt(above))
            .order_by_asc(audit_event::Column::Sequence)
            .limit(limit)
            .all(&self.reader)
            .await?;
        Ok(rows.into_iter().map(AuditRow::from).collect())
    }

    /// Where an owner's log ends.
    pub async fn audit_head(
        &self,
        owner: OrganisationId,
        now: Timestamp,
    ) -> Result<AuditHead, Error> {
        let row = audit_chain::Entity::find_by_id(owner.uuid())
            .one(&self.reader)
            .await?;
        let (sequence, hash) = row.map_or((0, NO_HASH.to_owned()), |row| (row.sequence, row.hash));
        Ok(AuditHead {
            at: now,
            hash,
            log: owner,
            sequence: number("audit sequence", sequence)?,
        })
    }
}

/// An entry as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Canonical JSON of the entry.
    pub entry: String,
    /// Its hash.
    pub hash: String,
    /// The hash before.
    pub previous_hash: String,
}

impl From<audit_event::Model> for AuditRow {
    fn from(row: audit_event::Model) -> Self {
        Self {
            entry: row.entry,
            hash: row.hash,
            previous_hash: row.previous_hash,
        }
    }
}
