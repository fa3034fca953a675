//! Ways to an identity provider and back: each ends once, in the browser and at the provider where it began.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use shared::{Timestamp, UserId};
use uuid::Uuid;

use crate::{
    Error, Store,
    database::insert,
    entity::authorization::{Column, Entity, Model},
};

/// What a way is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// Somebody signs in.
    SignIn,
    /// A person links an identity to their account.
    Link(UserId),
    /// A person was at the provider; the account's own second factor is still to be shown.
    SecondFactor(UserId),
}

impl Aim {
    const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Link(_) => "link",
            Self::SecondFactor(_) => "second_factor",
        }
    }

    const fn user(self) -> Option<Uuid> {
        match self {
            Self::SignIn => None,
            Self::Link(user) | Self::SecondFactor(user) => Some(user.uuid()),
        }
    }

    fn read(purpose: &str, user: Option<Uuid>) -> Result<Self, Error> {
        match (purpose, user.map(UserId::from_uuid)) {
            ("sign_in", None) => Ok(Self::SignIn),
            ("link", Some(user)) => Ok(Self::Link(user)),
            ("second_factor", Some(user)) => Ok(Self::SecondFactor(user)),
            _ => Err(Error::Corrupt {
                what: "authorization",
                detail: purpose.to_owned(),
            }),
        }
    }
}

/// What names a way.
#[derive(Clone, Debug)]
pub struct WayKey {
    /// Hash of the token that goes to the provider and comes back.
    pub token_hash: String,
    /// Hash of what the browser keeps to itself.
    pub browser_hash: String,
    /// The provider.
    pub issuer: String,
}

/// A way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WayRecord {
    /// What it is for.
    pub aim: Aim,
    /// The page to open at its end.
    pub return_to: String,
}

impl Store {
    /// Begins a way.
    pub async fn begin_way(
        &self,
        key: WayKey,
        way: WayRecord,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), Error> {
        let row = Model {
            token_hash: key.token_hash,
            browser_hash: key.browser_hash,
            issuer: key.issuer,
            purpose: way.aim.as_str().to_owned(),
            user_id: way.aim.user(),
            return_to: way.return_to,
            created_at: now.milliseconds(),
            expires_at: expires_at.milliseconds(),
        };
        Ok(insert(self.writer(), row).await?)
    }

    /// The way under a key that has not ended, whoever asks.
    pub async fn find_way_any(
        &self,
        key: &WayKey,
        now: Timestamp,
    ) -> Result<Option<WayRecord>, Error> {
        find(&self.reader, key, now).await
    }

    /// Ends a way; `None` where there is none under this whole key, it has ended, or it took too long.
    pub async fn end_way(&self, key: &WayKey, now: Timestamp) -> Result<Option<WayRecord>, Error> {
        let transaction = self.begin().await?;
        let found = find(&transaction, key, now).await?;
        // Of two that come at once one deletes the row.
        let deleted = Entity::delete_many()
            .filter(Column::TokenHash.eq(key.token_hash.as_str()))
            .filter(Column::BrowserHash.eq(key.browser_hash.as_str()))
            .filter(Column::Issuer.eq(key.issuer.as_str()))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(found.filter(|_| deleted.rows_affected == 1))
    }
}

async fn find(
    connection: &impl ConnectionTrait,
    key: &WayKey,
    now: Timestamp,
) -> Result<Option<WayRecord>, Error> {
    let row = Entity::find_by_id(key.token_hash.clone())
        .filter(Column::BrowserHash.eq(key.browser_hash.as_str()))
        .filter(Column::Issuer.eq(key.issuer.as_str()))
        .filter(Column::ExpiresAt.gt(now.milliseconds()))
        .one(connection)
        .await?;
    row.map(|row| {
        Ok(WayRecord {
            aim: Aim::read(&row.purpose, row.user_id)?,
            return_to: row.return_to,
        })
    })
    .transpose()
}
