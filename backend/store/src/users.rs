//! Accounts.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, sea_query::Expr};
use shared::{OrganisationId, Timestamp, UserId};

use crate::{
    Error, Store,
    audit::{self, Deed},
    database::{insert, new_uuid},
    entity::{organisation, user},
    organisations,
};

/// What a new account is made of.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Address; kept trimmed and in lower case.
    pub email: String,
    /// What to call the person.
    pub name: String,
    /// PHC string of the password's hash; an account that an identity provider opens has none.
    pub password_hash: Option<String>,
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
    /// PHC string of the password's hash, where it has a password.
    pub password_hash: Option<String>,
    /// When its address was confirmed.
    pub email_verified_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl From<user::Model> for UserRecord {
    fn from(row: user::Model) -> Self {
        Self {
            id: UserId::from_uuid(row.id),
            email: row.email,
            name: row.name,
            password_hash: Some(row.password_hash).filter(|hash| !hash.is_empty()),
            email_verified_at: row.email_verified_at.map(Timestamp::from_milliseconds),
            created_at: Timestamp::from_milliseconds(row.created_at),
        }
    }
}

fn normal(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Makes an account and its own organisation, which carries its id; its last step is the log's.
pub(crate) async fn create(
    connection: &impl ConnectionTrait,
    new: NewUser,
    email_verified_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<UserRecord, Error> {
    let row = user::Model {
        id: new_uuid(now),
        email: normal(&new.email),
        name: new.name,
        password_hash: new.password_hash.unwrap_or_default(),
        created_at: now.milliseconds(),
        email_verified_at: email_verified_at.map(Timestamp::milliseconds),
    };
    let own = organisation::Model {
        id: row.id,
        name: row.name.clone(),
        personal_user_id: Some(row.id),
        created_at: row.created_at,
    };
    insert(connection, row.clone())
        .await
        .map_err(|error| Error::or_unique(error, Error::EmailTaken))?;
    organisations::found(connection, own, row.id).await?;
    let id = UserId::from_uuid(row.id);
    let log = OrganisationId::from_uuid(row.id);
    audit::record(connection, log, Deed::new("user.created", id), now).await?;
    Ok(row.into())
}

impl Store {
    /// Makes an account and its own organisation, which carries its id; or [`Error::EmailTaken`].
    pub async fn create_user(&self, new: NewUser, now: Timestamp) -> Result<UserRecord, Error> {
        let transaction = self.begin().await?;
        let made = create(&transaction, new, None, now).await?;
        transaction.commit().await?;
        Ok(made)
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

    /// Calls a person something else; [`Error::Changed`] where the name is not the one that was seen.
    pub async fn rename_user(
        &self,
        id: UserId,
        seen: Option<&str>,
        name: &str,
    ) -> Result<(), Error> {
        let mut update = user::Entity::update_many()
            .col_expr(user::Column::Name, Expr::value(name))
            .filter(user::Column::Id.eq(id.uuid()));
        if let Some(seen) = seen {
            update = update.filter(user::Column::Name.eq(seen));
        }
        let changed = update.exec(self.writer()).await?.rows_affected;
        (changed > 0).then_some(()).ok_or(Error::Changed)
    }
}
