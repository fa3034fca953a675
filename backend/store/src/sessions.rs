//! Browser sessions, kept by the hash of their token.

use sea_orm::{ColumnTrait, EntityTrait, ModelTrait, QueryFilter, QueryOrder, sea_query::Expr};
use shared::{OrganisationId, SessionId, Timestamp, UserId};

use crate::{
    Error, Store,
    audit::{self, Deed},
    database::{insert, new_uuid},
    entity::session::{Column, Entity, Model},
};

/// A use is noted once in this time: a busy browser does not write at every request.
const NOTED_MILLISECONDS: i64 = 60_000;

/// What a session is made of.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Hash of the token that the browser keeps.
    pub token_hash: String,
    /// Who signed in.
    pub user_id: UserId,
    /// What the browser calls itself.
    pub user_agent: String,
    /// Where it signed in from.
    pub address: String,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// Identifies the session.
    pub id: SessionId,
    /// Hash of the token that the browser keeps.
    pub token_hash: String,
    /// Who signed in.
    pub user_id: UserId,
    /// The organisation that it works in: the person's own unless another was chosen.
    pub organisation_id: OrganisationId,
    /// What the browser calls itself.
    pub user_agent: String,
    /// Where it signed in from.
    pub address: String,
    /// When it signed in.
    pub created_at: Timestamp,
    /// When it was used last.
    pub seen_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

impl From<Model> for SessionRecord {
    fn from(row: Model) -> Self {
        Self {
            id: SessionId::from_uuid(row.id),
            token_hash: row.token_hash,
            user_id: UserId::from_uuid(row.user_id),
            organisation_id: OrganisationId::from_uuid(row.organisation_id.unwrap_or(row.user_id)),
            user_agent: row.user_agent,
            address: row.address,
            created_at: Timestamp::from_milliseconds(row.created_at),
            seen_at: Timestamp::from_milliseconds(row.seen_at),
            expires_at: Timestamp::from_milliseconds(row.expires_at),
        }
    }
}

/// A person's own organisation carries the person's id; what concerns nobody else stands in its log.
const fn own(user: UserId) -> OrganisationId {
    OrganisationId::from_uuid(user.uuid())
}

impl Store {
    /// Starts a session; the caller keeps the token and gives its hash.
    pub async fn create_session(&self, new: NewSession, now: Timestamp) -> Result<(), Error> {
        let row = Model {
            id: new_uuid(now),
            token_hash: new.token_hash,
            user_id: new.user_id.uuid(),
            organisation_id: None,
            user_agent: new.user_agent,
            address: new.address,
            created_at: now.milliseconds(),
            seen_at: now.milliseconds(),
            expires_at: new.expires_at.milliseconds(),
        };
        let transaction = self.begin().await?;
        insert(&transaction, row).await?;
        let deed = Deed::new("session.created", new.user_id);
        audit::record(&transaction, own(new.user_id), deed, now).await?;
        Ok(transaction.commit().await?)
    }

    /// Finds a session that has not expired.
    pub async fn find_session(
        &self,
        token_hash: &str,
        now: Timestamp,
    ) -> Result<Option<SessionRecord>, Error> {
        let row = Entity::find_by_id(token_hash.to_owned())
            .filter(Column::ExpiresAt.gt(now.milliseconds()))
            .one(&self.reader)
            .await?;
        Ok(row.map(SessionRecord::from))
    }

    /// Notes a use, once a minute.
    pub async fn touch_session(
        &self,
        session: &SessionRecord,
        now: Timestamp,
    ) -> Result<(), Error> {
        if session.seen_at.milliseconds() > now.milliseconds() - NOTED_MILLISECONDS {
            return Ok(());
        }
        Entity::update_many()
            .col_expr(Column::SeenAt, Expr::value(now.milliseconds()))
            .filter(Column::TokenHash.eq(session.token_hash.as_str()))
            .exec(self.writer())
            .await?;
        Ok(())
    }

    /// The sessions of a person that have not expired, newest first.
    pub async fn list_sessions(
        &self,
        user: UserId,
        now: Timestamp,
    ) -> Result<Vec<SessionRecord>, Error> {
        let rows = Entity::find()
            .filter(Column::UserId.eq(user.uuid()))
            .filter(Column::ExpiresAt.gt(now.milliseconds()))
            .order_by_desc(Column::Id)
            .all(&self.reader)
            .await?;
        Ok(rows.into_iter().map(SessionRecord::from).collect())
    }

    /// Has a session work in another organisation.
    pub async fn switch_session(
        &self,
        token_hash: &str,
        organisation: OrganisationId,
    ) -> Result<(), Error> {
        let chosen = Some(organisation.uuid());
        Entity::update_many()
            .col_expr(Column::OrganisationId, Expr::value(chosen))
            .filter(Column::TokenHash.eq(token_hash))
            .exec(self.writer())
            .await?;
        Ok(())
    }

    /// Ends a session; one that is not there has ended already.
    pub async fn delete_session(&self, token_hash: &str, now: Timestamp) -> Result<(), Error> {
        let transaction = self.begin().await?;
        let row = Entity::find_by_id(token_hash.to_owned());
        let Some(row) = row.one(&transaction).await? else {
            return Ok(transaction.rollback().await?);
        };
        let user = UserId::from_uuid(row.user_id);
        row.delete(&transaction).await?;
        audit::record(
            &transaction,
            own(user),
            Deed::new("session.ended", user),
            now,
        )
        .await?;
        Ok(transaction.commit().await?)
    }

    /// Ends a session of a person; `false` where there is none.
    pub async fn end_session(
        &self,
        user: UserId,
        id: SessionId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let transaction = self.begin().await?;
        let deleted = Entity::delete_many()
            .filter(Column::UserId.eq(user.uuid()))
            .filter(Column::Id.eq(id.uuid()))
            .exec(&transaction)
            .await?;
        if deleted.rows_affected == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        let deed = Deed::new("session.ended", user);
        audit::record(&transaction, own(user), deed, now).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
