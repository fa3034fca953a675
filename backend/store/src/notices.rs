//! Notices, what they suspend, and what both sides say.

use std::collections::BTreeMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect,
    QueryTrait,
    sea_query::{Expr, LockType, SelectStatement},
};
use shared::{
    NoticeId, OrganisationId, Timestamp, UserId,
    notice::{NoticeAction, NoticeCategory, NoticeStatus},
    webhook::{EventData, EventType},
};
use uuid::Uuid;

use crate::{
    Error, Store,
    audit::{self, Deed},
    database::{insert, new_uuid, page},
    entity::notice::{Column, Entity, Model},
    text::{from_name, number, to_name},
    webhooks,
};

const SUSPENDED: &str = "suspended";

/// What a notice says.
#[derive(Clone, Debug)]
pub struct NewNotice {
    /// What it is about.
    pub category: NoticeCategory,
    /// The object's id as text.
    pub object: String,
    /// What it is about as the tables know it: a gallery, what judged it, or the protect job that the rest comes from.
    pub object_id: Uuid,
    /// Whose object it is.
    pub owner_id: OrganisationId,
    /// Why.
    pub explanation: String,
    /// Who complains.
    pub name: String,
    /// Where answers go.
    pub email: String,
    /// Hash of the receipt.
    pub receipt_hash: String,
    /// By when it shall be looked at.
    pub due_at: Timestamp,
}

/// A notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeRecord {
    /// Identifies the notice.
    pub id: NoticeId,
    /// What it is about.
    pub category: NoticeCategory,
    /// The object's id.
    pub object: String,
    /// Whose object it is.
    pub owner_id: OrganisationId,
    /// Why.
    pub explanation: String,
    /// Who complained.
    pub name: String,
    /// Where answers go.
    pub email: String,
    /// How it stands.
    pub status: NoticeStatus,
    /// Reasons for the latest decision.
    pub statement: Option<String>,
    /// The owner's answer.
    pub counter_notice: Option<String>,
    /// Why somebody disagrees.
    pub appeal: Option<String>,
    /// Who decided last.
    pub decided_by: Option<UserId>,
    /// By when it shall be looked at.
    pub due_at: Timestamp,
    /// When it arrived.
    pub created_at: Timestamp,
    /// When it was decided last.
    pub decided_at: Option<Timestamp>,
}

impl TryFrom<Model> for NoticeRecord {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        Ok(Self {
            id: NoticeId::from_uuid(row.id),
            category: from_name("notice category", &row.category)?,
            object: row.object,
            owner_id: OrganisationId::from_uuid(row.owner_id),
            explanation: row.explanation,
            name: row.name,
            email: row.email,
            status: from_name("notice status", &row.status)?,
            statement: row.statement,
            counter_notice: row.counter_notice,
            appeal: row.appeal,
            decided_by: row.decided_by.map(UserId::from_uuid),
            due_at: Timestamp::from_milliseconds(row.due_at),
            created_at: Timestamp::from_milliseconds(row.created_at),
            decided_at: row.decided_at.map(Timestamp::from_milliseconds),
        })
    }
}

/// Ids of every object that a notice suspends now.
pub(crate) fn suspended() -> SelectStatement {
    Entity::find()
        .select_only()
        .column(Column::ObjectId)
        .filter(Column::Status.eq(SUSPENDED))
        .into_query()
}

async fn lock(connection: &impl ConnectionTrait, id: NoticeId) -> Result<Option<Model>, Error> {
    let query = Entity::find_by_id(id.uuid()).lock(LockType::NoKeyUpdate);
    Ok(query.one(connection).await?)
}

impl Store {
    /// Takes a notice; its object's owner finds it in the audit log.
    pub async fn create_notice(
        &self,
        new: NewNotice,
        now: Timestamp,
    ) -> Result<NoticeRecord, Error> {
        let row = Model {
            id: new_uuid(now),
            category: to_name("notice category", &new.category)?,
            object: new.object,
            object_id: new.object_id,
            owner_id: new.owner_id.uuid(),
            explanation: new.explanation,
            name: new.name,
            email: new.email,
            receipt_hash: new.receipt_hash,
            status: to_name("notice status", &NoticeStatus::Received)?,
            statement: None,
            counter_notice: None,
            appeal: None,
            decided_by: None,
            created_at: now.milliseconds(),
            due_at: new.due_at.milliseconds(),
            decided_at: None,
        };
        let transaction = self.begin().await?;
        insert(&transaction, row.clone()).await?;
        let deed = Deed::new("notice.received", NoticeId::from_uuid(row.id));
        let deed = deed.detail(row.object.clone()).by_outsider(true);
        audit::record(&transaction, new.owner_id, deed, now).await?;
        transaction.commit().await?;
        row.try_into()
    }

    /// Finds any notice; for administrators, and for whoever holds its receipt.
    pub async fn find_notice_any(
        &self,
        id: NoticeId,
        receipt_hash: Option<&str>,
    ) -> Result<Option<NoticeRecord>, Error> {
        let row = Entity::find_by_id(id.uuid()).one(&self.reader).await?;
        row.filter(|row| receipt_hash.is_none_or(|hash| row.receipt_hash == hash))
            .map(NoticeRecord::try_from)
            .transpose()
    }

    /// Finds a notice against an object of this owner.
    pub async fn find_notice(
        &self,
        owner: OrganisationId,
        id: NoticeId,
    ) -> Result<Option<NoticeRecord>, Error> {
        let found = self.find_notice_any(id, None).await?;
        Ok(found.filter(|notice| notice.owner_id == owner))
    }

    /// Notices, newest first, from below `after`: against an owner's objects, or all for administrators.
    pub async fn list_notices(
        &self,
        against: Option<OrganisationId>,
        status: Option<NoticeStatus>,
        after: Option<NoticeId>,
        limit: u64,
    ) -> Result<Vec<NoticeRecord>, Error> {
        let mut query = Entity::find();
        if let Some(owner) = against {
            query = query.filter(Column::OwnerId.eq(owner.uuid()));
        }
        if let Some(status) = status {
            query = query.filter(Column::Status.eq(to_name("notice status", &status)?));
        }
        let rows = page(query, Column::Id, after.map(NoticeId::uuid), limit)
            .all(&self.reader)
            .await?;
        rows.into_iter().map(NoticeRecord::try_from).collect()
    }

    /// Suspensions of an owner's objects that stand.
    pub async fn count_suspensions(&self, owner: OrganisationId) -> Result<u64, Error> {
        Ok(Entity::find()
            .filter(Column::OwnerId.eq(owner.uuid()))
            .filter(Column::Status.eq(SUSPENDED))
            .count(&self.reader)
            .await?)
    }

    /// Notices that suspend one of these objects now.
    pub async fn suspensions_of(&self, objects: &[Uuid]) -> Result<Vec<NoticeId>, Error> {
        let ids: Vec<Uuid> = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::ObjectId.is_in(objects.iter().copied()))
            .filter(Column::Status.eq(SUSPENDED))
            .into_tuple()
            .all(&self.reader)
            .await?;
        Ok(ids.into_iter().map(NoticeId::from_uuid).collect())
    }

    /// Decides a notice and tells the owner; after an appeal somebody else must: [`Error::SameReviewer`].
    pub async fn decide_notice(
        &self,
        reviewer: UserId,
        id: NoticeId,
        (action, statement): (NoticeAction, String),
        now: Timestamp,
    ) -> Result<Option<NoticeRecord>, Error> {
        let transaction = self.begin().await?;
        let Some(mut row) = lock(&transaction, id).await? else {
            transaction.rollback().await?;
            return Ok(None);
        };
        if row.appeal.is_some() && row.decided_by == Some(reviewer.uuid()) {
            transaction.rollback().await?;
            return Err(Error::SameReviewer);
        }
        let (status, event) = match action {
            NoticeAction::Suspend => (NoticeStatus::Suspended, Some(EventType::NoticeSuspended)),
            NoticeAction::Dismiss => (NoticeStatus::Dismissed, None),
            NoticeAction::Restore => (NoticeStatus::Restored, Some(EventType::NoticeRestored)),
        };
        row.status = to_name("notice status", &status)?;
        row.statement = Some(statement);
        row.decided_by = Some(reviewer.uuid());
        row.decided_at = Some(now.milliseconds());
        row.appeal = None;
        save(&transaction, &row).await?;
        let owner = OrganisationId::from_uuid(row.owner_id);
        let deed = Deed::new("notice.decided", id).detail(row.status.clone());
        let deed = deed.by_outsider(true);
        audit::record(&transaction, owner, deed, now).await?;
        if let Some(event) = event {
            let data = EventData {
                id: id.to_string(),
                url: format!("/v1/received-notices/{id}"),
            };
            webhooks::emit(&transaction, owner, (event, data), now).await?;
        }
        transaction.commit().await?;
        row.try_into().map(Some)
    }

    /// Keeps the owner's answer.
    pub async fn answer_notice(
        &self,
        owner: OrganisationId,
        id: NoticeId,
        statement: String,
        now: Timestamp,
    ) -> Result<Option<NoticeRecord>, Error> {
        let change = |row: &mut Model| row.counter_notice = Some(statement);
        let mine = |row: &Model| row.owner_id == owner.uuid();
        let deed = Deed::new("notice.answered", id);
        self.change_notice(id, mine, change, deed, now).await
    }

    /// Keeps an appeal against a decision, of either side.
    pub async fn appeal_notice(
        &self,
        id: NoticeId,
        (owner, receipt_hash): (Option<OrganisationId>, Option<&str>),
        statement: String,
        now: Timestamp,
    ) -> Result<Option<NoticeRecord>, Error> {
        let side = |row: &Model| {
            let mine = owner.is_some_and(|owner| row.owner_id == owner.uuid());
            let theirs = receipt_hash.is_some_and(|hash| row.receipt_hash == hash);
            (mine || theirs) && row.decided_by.is_some()
        };
        let change = |row: &mut Model| row.appeal = Some(statement);
        let deed = Deed::new("notice.appealed", id).by_outsider(owner.is_none());
        self.change_notice(id, side, change, deed, now).await
    }

    async fn change_notice(
        &self,
        id: NoticeId,
        may: impl FnOnce(&Model) -> bool + Send,
        change: impl FnOnce(&mut Model) + Send,
        deed: Deed<'_>,
        now: Timestamp,
    ) -> Result<Option<NoticeRecord>, Error> {
        let transaction = self.begin().await?;
        let Some(mut row) = lock(&transaction, id).await?.filter(may) else {
            transaction.rollback().await?;
            return Ok(None);
        };
        change(&mut row);
        save(&transaction, &row).await?;
        let owner = OrganisationId::from_uuid(row.owner_id);
        audit::record(&transaction, owner, deed, now).await?;
        transaction.commit().await?;
        row.try_into().map(Some)
    }

    /// Notices by how they stand.
    pub async fn count_notices(&self) -> Result<BTreeMap<String, u64>, Error> {
        let rows: Vec<(String, i64)> = Entity::find()
            .select_only()
            .column(Column::Status)
            .column_as(Column::Id.count(), "count")
            .group_by(Column::Status)
            .into_tuple()
            .all(&self.reader)
            .await?;
        rows.into_iter()
            .map(|(status, count)| Ok((status, number("notice count", count)?)))
            .collect()
    }
}

async fn save(connection: &impl ConnectionTrait, row: &Model) -> Result<(), Error> {
    Entity::update_many()
        .col_expr(Column::Status, Expr::value(row.status.clone()))
        .col_expr(Column::Statement, Expr::value(row.statement.clone()))
        .col_expr(
            Column::CounterNotice,
            Expr::value(row.counter_notice.clone()),
        )
        .col_expr(Column::Appeal, Expr::value(row.appeal.clone()))
        .col_expr(Column::DecidedBy, Expr::value(row.decided_by))
        .col_expr(Column::DecidedAt, Expr::value(row.decided_at))
        .filter(Column::Id.eq(row.id))
        .exec(connection)
        .await?;
    Ok(())
}
