//! Refresh tokens: each works once; one that comes back ends its whole family.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType},
};
use shared::{OrganisationId, Timestamp, UserId};
use uuid::Uuid;

use crate::{
    Error, Store,
    audit::{self, Deed},
    database::{insert, new_uuid},
    entity::refresh_token::{Column, Entity, Model},
};

/// Who a refresh token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The person.
    pub user: UserId,
    /// Where they work.
    pub organisation: OrganisationId,
}

/// What became of a refresh token that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchanged {
    /// It was the last one; the next one is stored in its place.
    Rotated(Grant),
    /// It was used before: somebody has a copy. The family is over.
    Reused(UserId),
    /// There is no such token, or it has expired.
    Unknown,
}

/// Ends everything that a person's refresh tokens could get.
pub(crate) async fn end_all(connection: &impl ConnectionTrait, user: Uuid) -> Result<(), Error> {
    Entity::delete_many()
        .filter(Column::UserId.eq(user))
        .exec(connection)
        .await?;
    Ok(())
}

/// Starts a family with its first token.
pub(crate) async fn start(
    connection: &impl ConnectionTrait,
    token_hash: &str,
    grant: Grant,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), Error> {
    let row = Model {
        token_hash: token_hash.to_owned(),
        family_id: new_uuid(now),
        user_id: grant.user.uuid(),
        organisation_id: grant.organisation.uuid(),
        created_at: now.milliseconds(),
        expires_at: expires_at.milliseconds(),
        used_at: None,
    };
    insert(connection, row).await?;
    let deed = Deed::new("token.created", grant.user);
    let log = OrganisationId::from_uuid(grant.user.uuid());
    audit::record(connection, log, deed, now).await
}

async fn end_family(connection: &impl ConnectionTrait, family: Uuid) -> Result<(), Error> {
    Entity::delete_many()
        .filter(Column::FamilyId.eq(family))
        .exec(connection)
        .await?;
    Ok(())
}

impl Store {
    /// Starts a family with its first token.
    pub async fn create_refresh_token(
        &self,
        token_hash: &str,
        grant: Grant,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), Error> {
        let transaction = self.begin().await?;
        start(&transaction, token_hash, grant, now, expires_at).await?;
        Ok(transaction.commit().await?)
    }

    /// Uses a token up and stores the one that follows it.
    pub async fn exchange_refresh_token(
        &self,
        token_hash: &str,
        next_hash: &str,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Exchanged, Error> {
        let transaction = self.begin().await?;
        let row = Entity::find_by_id(token_hash.to_owned())
            .filter(Column::ExpiresAt.gt(now.milliseconds()))
            .lock(LockType::NoKeyUpdate)
            .one(&transaction)
            .await?;
        let Some(row) = row else {
            transaction.rollback().await?;
            return Ok(Exchanged::Unknown);
        };
        let user = UserId::from_uuid(row.user_id);
        if row.used_at.is_some() {
            end_family(&transaction, row.family_id).await?;
            transaction.commit().await?;
            return Ok(Exchanged::Reused(user));
        }
        Entity::update_many()
            .col_expr(Column::UsedAt, Expr::value(now.milliseconds()))
            .filter(Column::TokenHash.eq(token_hash))
            .exec(&transaction)
            .await?;
        let next = Model {
            token_hash: next_hash.to_owned(),
            created_at: now.milliseconds(),
            expires_at: expires_at.milliseconds(),
            used_at: None,
            ..row
        };
        let organisation = OrganisationId::from_uuid(next.organisation_id);
        insert(&transaction, next).await?;
        transaction.commit().await?;
        Ok(Exchanged::Rotated(Grant { user, organisation }))
    }

    /// Ends the family of a token; one that is unknown has ended already.
    pub async fn end_refresh_family(&self, token_hash: &str) -> Result<(), Error> {
        let transaction = self.begin().await?;
        let row = Entity::find_by_id(token_hash.to_owned())
            .one(&transaction)
            .await?;
        if let Some(row) = row {
            end_family(&transaction, row.family_id).await?;
        }
        Ok(transaction.commit().await?)
    }
}
