//! Accounts.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, sea_query::LockType,
};
use shared::{Timestamp, UserId};

use crate::{
    Error, Store,
    audit::{self, Deed},
    database::{insert, new_uuid},
    entity::user,
};

/// What a new account is made of.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Address; kept trimmed and in lower case.
    pub email: String,
    /// What to call the person.
    pub name: String,
    /// PHC string of the password's hash.
    pub password_hash: String,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRecord {
    /// Identifies the account.
    pub id: UserId,
    /// Address in lower case.
    pub email: String,
    /// What to call the person.
    pub name: String,
    /// PHC string of the password's hash.
    pub password_hash: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl From<user::Model> for UserRecord {
    fn from(row: user::Model) -> Self {
        Self {
            id: UserId::from_uuid(row.id),
            email: row.email,
            name: row.name,
            password_hash: row.password_hash,
            created_at: Timestamp::from_milliseconds(row.created_at),
        }
    }
}

/// Locks an account until the transaction ends: what counts its rows goes one at a time.
pub(crate) async fn lock(connection: &impl ConnectionTrait, owner: UserId) -> Result<(), Error> {
    user::Entity::find_by_id(owner.uuid())
        .lock(LockType::NoKeyUpdate)
        .one(connection)
        .await?;
    Ok(())
}

fn normal(email: &str) -> String {
    email.trim().to_lowercase()
}

impl Store {
    /// Makes an account, or [`Error::EmailTaken`].
    pub async fn create_user(&self, new: NewUser, now: Timestamp) -> Result<UserRecord, Error> {
        let row = user::Model {
            id: new_uuid(now),
            email: normal(&new.email),
            name: new.name,
            password_hash: new.password_hash,
            created_at: now.milliseconds(),
        };
        let transaction = self.begin().await?;
        insert(&transaction, row.clone())
            .await
            .map_err(|error| Error::or_unique(error, Error::EmailTaken))?;
        let id = UserId::from_uuid(row.id);
        audit::record(&transaction, id, Deed::new("user.created", id), now).await?;
        transaction.commit().await?;
        Ok(row.into())
    }

    /// Finds an account.
    pub async fn find_user(&self, id: UserId) -> Result<Option<UserRecord>, Error> {
        let row = user::Entity::find_by_id(id.uuid())
            .one(&self.reader)
            .await?;
        Ok(row.map(UserRecord::from))
    }

    /// Finds an account by address, in any case.
    pub async fn find_user_by_email(&self, email: &str) -> Result<Option<UserRecord>, Error> {
        let row = user::Entity::find()
            .filter(user::Column::Email.eq(normal(email)))
            .one(&self.reader)
            .await?;
        Ok(row.map(UserRecord::from))
    }
}
