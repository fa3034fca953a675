//! People as identity providers know them, each of an account; a person's last way in stays.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ModelTrait, PaginatorTrait, QueryFilter, QueryOrder,
    sea_query::Expr,
};
use shared::{IdentityId, OrganisationId, Timestamp, UserId};

use crate::{
    Error, NewUser, Store, UserRecord,
    audit::{self, Deed},
    database::{insert, new_uuid},
    entity::{
        identity::{Column, Entity, Model},
        user,
    },
    organisations, users,
};

/// More ways in than anybody keeps an eye on.
const MAX_IDENTITIES: u64 = 10;

/// A person as a provider told of them.
#[derive(Clone, Debug)]
pub struct NewIdentity {
    /// The provider.
    pub issuer: String,
    /// Who it is there, for ever.
    pub subject: String,
    /// Their address there, for the eye alone.
    pub email: Option<String>,
}

/// An identity of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityRecord {
    /// Identifies the link.
    pub id: IdentityId,
    /// The account.
    pub user_id: UserId,
    /// The provider.
    pub issuer: String,
    /// Who it is there.
    pub subject: String,
    /// Their address there when the link was made.
    pub email: Option<String>,
    /// When it was linked.
    pub created_at: Timestamp,
    /// When it was used last.
    pub used_at: Timestamp,
}

impl From<Model> for IdentityRecord {
    fn from(row: Model) -> Self {
        Self {
            id: IdentityId::from_uuid(row.id),
            user_id: UserId::from_uuid(row.user_id),
            issuer: row.issuer,
            subject: row.subject,
            email: row.email,
            created_at: Timestamp::from_milliseconds(row.created_at),
            used_at: Timestamp::from_milliseconds(row.used_at),
        }
    }
}

/// A person's own organisation carries the person's id; what concerns nobody else stands in its log.
const fn own(user: UserId) -> OrganisationId {
    OrganisationId::from_uuid(user.uuid())
}

/// Adds an identity, and tells the account's log; last in its transaction.
async fn add(
    connection: &impl ConnectionTrait,
    user: UserId,
    new: NewIdentity,
    now: Timestamp,
) -> Result<(), Error> {
    let row = Model {
        id: new_uuid(now),
        user_id: user.uuid(),
        issuer: new.issuer,
        subject: new.subject,
        email: new.email,
        created_at: now.milliseconds(),
        used_at: now.milliseconds(),
    };
    let deed =
        Deed::new("identity.linked", IdentityId::from_uuid(row.id)).detail(row.issuer.clone());
    insert(connection, row)
        .await
        .map_err(|error| Error::or_unique(error, Error::IdentityTaken))?;
    audit::record(connection, own(user), deed, now).await
}

impl Store {
    /// Makes an account for an identity, its address taken as confirmed, without a password; [`Error::EmailTaken`] or
    /// [`Error::IdentityTaken`].
    pub async fn create_user_of_identity(
        &self,
        (email, name): (String, String),
        identity: NewIdentity,
        now: Timestamp,
    ) -> Result<UserRecord, Error> {
        let transaction = self.begin().await?;
        let new = NewUser {
            email,
            name,
            password_hash: None,
        };
        let made = users::create(&transaction, new, Some(now), now).await?;
        add(&transaction, made.id, identity, now).await?;
        transaction.commit().await?;
        Ok(made)
    }

    /// Links an identity to an account; [`Error::IdentityTaken`] where it is linked already, to whomever.
    pub async fn create_identity(
        &self,
        user: UserId,
        new: NewIdentity,
        now: Timestamp,
    ) -> Result<(), Error> {
        let transaction = self.begin().await?;
        organisations::lock(&transaction, own(user)).await?;
        let known = Entity::find()
            .filter(Column::UserId.eq(user.uuid()))
            .count(&transaction)
            .await?;
        if known >= MAX_IDENTITIES {
            transaction.rollback().await?;
            return Err(Error::TooManyIdentities);
        }
        add(&transaction, user, new, now).await?;
        Ok(transaction.commit().await?)
    }

    /// The identity that a provider told of, whosever it is.
    pub async fn find_identity_any(
        &self,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<IdentityRecord>, Error> {
        let row = Entity::find()
            .filter(Column::Issuer.eq(issuer))
            .filter(Column::Subject.eq(subject))
            .one(&self.reader)
            .await?;
        Ok(row.map(IdentityRecord::from))
    }

    /// The identities of a person, oldest first.
    pub async fn list_identities(&self, user: UserId) -> Result<Vec<IdentityRecord>, Error> {
        let rows = Entity::find()
            .filter(Column::UserId.eq(user.uuid()))
            .order_by_asc(Column::Id)
            .all(&self.reader)
            .await?;
        Ok(rows.into_iter().map(IdentityRecord::from).collect())
    }

    /// Notes that somebody signed in by an identity.
    pub async fn touch_identity(&self, id: IdentityId, now: Timestamp) -> Result<(), Error> {
        Entity::update_many()
            .col_expr(Column::UsedAt, Expr::value(now.milliseconds()))
            .filter(Column::Id.eq(id.uuid()))
            .exec(self.writer())
            .await?;
        Ok(())
    }

    /// Removes an identity of a person; `false` where there is none, [`Error::LastWayIn`] where neither a password nor
    /// an identity at one of these issuers would be left.
    pub async fn delete_identity(
        &self,
        user: UserId,
        id: IdentityId,
        issuers: &[&str],
        now: Timestamp,
    ) -> Result<bool, Error> {
        let transaction = self.begin().await?;
        organisations::lock(&transaction, own(user)).await?;
        let mine = Entity::find().filter(Column::UserId.eq(user.uuid()));
        let rows = mine.all(&transaction).await?;
        let (going, staying): (Vec<Model>, Vec<Model>) =
            rows.into_iter().partition(|row| row.id == id.uuid());
        let Some(going) = going.into_iter().next() else {
            transaction.rollback().await?;
            return Ok(false);
        };
        let account = user::Entity::find_by_id(user.uuid())
            .one(&transaction)
            .await?;
        let by_password = account.is_some_and(|row| !row.password_hash.is_empty());
        let by_another = staying
            .iter()
            .any(|row| issuers.contains(&row.issuer.as_str()));
        if !by_password && !by_another {
            transaction.rollback().await?;
            return Err(Error::LastWayIn);
        }
        let deed = Deed::new("identity.unlinked", id).detail(going.issuer.clone());
        going.delete(&transaction).await?;
        audit::record(&transaction, own(user), deed, now).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
