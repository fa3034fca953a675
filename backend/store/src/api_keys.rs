//! Keys for integrations, kept by the hash of their secret.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType},
};
use shared::{ApiKeyId, OrganisationId, Timestamp, UserId, api_key::Scope, limits::MAX_API_KEYS};

use crate::{
    Error, Store,
    audit::{self, Deed},
    database::{insert, new_uuid, page},
    entity::api_key::{Column, Entity, Model},
    organisations,
    text::{from_json, to_json},
};

/// A use is noted once in this time: a busy key does not write at every request.
const NOTED_MILLISECONDS: i64 = 60_000;

/// What a key is made of.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// Who makes it.
    pub user_id: UserId,
    /// What it is for.
    pub name: String,
    /// How its secret begins.
    pub hint: String,
    /// Hash of its secret.
    pub secret_hash: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// Blocks of addresses from which it may be used.
    pub allowed_addresses: Vec<String>,
    /// When it stops to work.
    pub expires_at: Timestamp,
}

/// What of a key changes; the rest stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct ApiKeyChange<'a> {
    /// What it is for.
    pub name: Option<&'a str>,
    /// Blocks of addresses from which it may be used.
    pub allowed_addresses: Option<&'a [String]>,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyRecord {
    /// Identifies the key.
    pub id: ApiKeyId,
    /// Where it works.
    pub organisation_id: OrganisationId,
    /// Who made it.
    pub user_id: UserId,
    /// What it is for.
    pub name: String,
    /// How its secret begins.
    pub hint: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// Blocks of addresses from which it may be used; everywhere when empty.
    pub allowed_addresses: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops to work.
    pub expires_at: Timestamp,
    /// Until when the secret before the last rotation works.
    pub previous_until: Option<Timestamp>,
    /// When it was used last.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl TryFrom<Model> for ApiKeyRecord {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        Ok(Self {
            id: ApiKeyId::from_uuid(row.id),
            organisation_id: OrganisationId::from_uuid(row.organisation_id),
            user_id: UserId::from_uuid(row.user_id),
            name: row.name,
            hint: row.hint,
            scopes: from_json("scope list", &row.scopes)?,
            allowed_addresses: from_json("address list", &row.allowed_addresses)?,
            created_at: Timestamp::from_milliseconds(row.created_at),
            expires_at: Timestamp::from_milliseconds(row.expires_at),
            previous_until: row.previous_until.map(Timestamp::from_milliseconds),
            last_used_at: row.last_used_at.map(Timestamp::from_milliseconds),
            revoked_at: row.revoked_at.map(Timestamp::from_milliseconds),
        })
    }
}

fn owned(organisation: OrganisationId) -> sea_orm::Select<Entity> {
    Entity::find().filter(Column::OrganisationId.eq(organisation.uuid()))
}

fn one(organisation: OrganisationId, id: ApiKeyId) -> Condition {
    Condition::all()
        .add(Column::OrganisationId.eq(organisation.uuid()))
        .add(Column::Id.eq(id.uuid()))
}

/// A key of an organisation, locked until the transaction ends.
async fn lock(
    connection: &impl ConnectionTrait,
    organisation: OrganisationId,
    id: ApiKeyId,
) -> Result<Option<Model>, Error> {
    let query = Entity::find()
        .filter(one(organisation, id))
        .lock(LockType::NoKeyUpdate);
    Ok(query.one(connection).await?)
}

impl Store {
    /// Makes a key; [`Error::TooManyApiKeys`] at the organisation's limit.
    pub async fn create_api_key(
        &self,
        organisation: OrganisationId,
        new: NewApiKey,
        now: Timestamp,
    ) -> Result<ApiKeyRecord, Error> {
        let row = Model {
            id: new_uuid(now),
            organisation_id: organisation.uuid(),
            user_id: new.user_id.uuid(),
            name: new.name,
            hint: new.hint,
            secret_hash: new.secret_hash,
            previous_hash: None,
            previous_until: None,
            scopes: to_json("scope list", &new.scopes)?,
            allowed_addresses: to_json("address list", &new.allowed_addresses)?,
            created_at: now.milliseconds(),
            expires_at: new.expires_at.milliseconds(),
            last_used_at: None,
            revoked_at: None,
        };
        let transaction = self.begin().await?;
        organisations::lock(&transaction, organisation).await?;
        let usable = owned(organisation)
            .filter(Column::RevokedAt.is_null())
            .filter(Column::ExpiresAt.gt(now.milliseconds()));
        if usable.count(&transaction).await? >= MAX_API_KEYS {
            transaction.rollback().await?;
            return Err(Error::TooManyApiKeys);
        }
        insert(&transaction, row.clone()).await?;
        let deed = Deed::new("api_key.created", ApiKeyId::from_uuid(row.id));
        audit::record(&transaction, organisation, deed, now).await?;
        transaction.commit().await?;
        row.try_into()
    }

    /// The keys of an organisation, newest first, from below `after`.
    pub async fn list_api_keys(
        &self,
        organisation: OrganisationId,
        after: Option<ApiKeyId>,
        limit: u64,
    ) -> Result<Vec<ApiKeyRecord>, Error> {
        let query = owned(organisation);
        let rows = page(query, Column::Id, after.map(ApiKeyId::uuid), limit)
            .all(&self.reader)
            .await?;
        rows.into_iter().map(ApiKeyRecord::try_from).collect()
    }

    /// Finds a key of an organisation.
    pub async fn find_api_key(
        &self,
        organisation: OrganisationId,
        id: ApiKeyId,
    ) -> Result<Option<ApiKeyRecord>, Error> {
        owned(organisation)
            .filter(Column::Id.eq(id.uuid()))
            .one(&self.reader)
            .await?
            .map(ApiKeyRecord::try_from)
            .transpose()
    }

    /// Finds the key that a secret opens now: not revoked, not expired, the old secret only for as
    /// long as it overlaps.
    pub async fn find_api_key_by_secret_any(
        &self,
        secret_hash: &str,
        now: Timestamp,
    ) -> Result<Option<ApiKeyRecord>, Error> {
        let now = now.milliseconds();
        let previous = Condition::all()
            .add(Column::PreviousHash.eq(secret_hash))
            .add(Column::PreviousUntil.gt(now));
        let secret = Condition::any()
            .add(Column::SecretHash.eq(secret_hash))
            .add(previous);
        Entity::find()
            .filter(secret)
            .filter(Column::RevokedAt.is_null())
            .filter(Column::ExpiresAt.gt(now))
            .one(&self.reader)
            .await?
            .map(ApiKeyRecord::try_from)
            .transpose()
    }

    /// Notes a use, once a minute.
    pub async fn touch_api_key(&self, key: &ApiKeyRecord, now: Timestamp) -> Result<(), Error> {
        let old = now.milliseconds() - NOTED_MILLISECONDS;
        if key.last_used_at.is_some_and(|at| at.milliseconds() > old) {
            return Ok(());
        }
        Entity::update_many()
            .col_expr(Column::LastUsedAt, Expr::value(now.milliseconds()))
            .filter(Column::Id.eq(key.id.uuid()))
            .exec(self.writer())
            .await?;
        Ok(())
    }

    /// Changes a key's name or addresses; `false` where there is none or it was revoked.
    ///
    /// [`Error::Changed`] where either is not as the caller saw it; without `seen` that is of no matter.
    pub async fn update_api_key(
        &self,
        organisation: OrganisationId,
        id: ApiKeyId,
        seen: Option<&ApiKeyRecord>,
        change: ApiKeyChange<'_>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let transaction = self.begin().await?;
        let found = lock(&transaction, organisation, id).await?;
        let Some(mut row) = found.filter(|row| row.revoked_at.is_none()) else {
            transaction.rollback().await?;
            return Ok(false);
        };
        let present = ApiKeyRecord::try_from(row.clone())?;
        let same = |seen: &ApiKeyRecord| {
            seen.name == present.name && seen.allowed_addresses == present.allowed_addresses
        };
        if !seen.is_none_or(same) {
            transaction.rollback().await?;
            return Err(Error::Changed);
        }
        if let Some(name) = change.name {
            name.clone_into(&mut row.name);
        }
        if let Some(blocks) = change.allowed_addresses {
            row.allowed_addresses = to_json("address list", &blocks)?;
        }
        Entity::update_many()
            .col_expr(Column::Name, Expr::value(row.name))
            .col_expr(Column::AllowedAddresses, Expr::value(row.allowed_addresses))
            .filter(Column::Id.eq(row.id))
            .exec(&transaction)
            .await?;
        let deed = Deed::new("api_key.updated", id);
        audit::record(&transaction, organisation, deed, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Gives a key another secret; the one before works until `overlap_until`. `None` where there is
    /// no such key, or it was revoked or has expired.
    pub async fn rotate_api_key(
        &self,
        organisation: OrganisationId,
        id: ApiKeyId,
        (secret_hash, hint): (&str, &str),
        overlap_until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<ApiKeyRecord>, Error> {
        let transaction = self.begin().await?;
        let row = Entity::find()
            .filter(one(organisation, id))
            .filter(Column::RevokedAt.is_null())
            .filter(Column::ExpiresAt.gt(now.milliseconds()))
            .lock(LockType::NoKeyUpdate)
            .one(&transaction)
            .await?;
        let Some(mut row) = row else {
            transaction.rollback().await?;
            return Ok(None);
        };
        row.previous_hash = Some(std::mem::replace(
            &mut row.secret_hash,
            secret_hash.to_owned(),
        ));
        row.previous_until = Some(overlap_until.milliseconds());
        hint.clone_into(&mut row.hint);
        Entity::update_many()
            .col_expr(Column::SecretHash, Expr::value(row.secret_hash.clone()))
            .col_expr(Column::PreviousHash, Expr::value(row.previous_hash.clone()))
            .col_expr(Column::PreviousUntil, Expr::value(row.previous_until))
            .col_expr(Column::Hint, Expr::value(row.hint.clone()))
            .filter(Column::Id.eq(row.id))
            .exec(&transaction)
            .await?;
        let deed = Deed::new("api_key.rotated", id);
        audit::record(&transaction, organisation, deed, now).await?;
        transaction.commit().await?;
        row.try_into().map(Some)
    }

    /// Revokes a key; `false` where there is none. Again is no harm.
    pub async fn revoke_api_key(
        &self,
        organisation: OrganisationId,
        id: ApiKeyId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let transaction = self.begin().await?;
        let Some(row) = lock(&transaction, organisation, id).await? else {
            transaction.rollback().await?;
            return Ok(false);
        };
        if row.revoked_at.is_none() {
            Entity::update_many()
                .col_expr(Column::RevokedAt, Expr::value(now.milliseconds()))
                .filter(Column::Id.eq(row.id))
                .exec(&transaction)
                .await?;
            let deed = Deed::new("api_key.revoked", id);
            audit::record(&transaction, organisation, deed, now).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }
}
