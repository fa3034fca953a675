//! Programs that wait to be signed in: asked for, decided once, collected once.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ModelTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType},
};
use shared::{OrganisationId, Timestamp, UserId};
use uuid::Uuid;

use crate::{
    Error, Grant, Store,
    audit::{self, Deed},
    database::insert,
    entity::device_authorization::{Column, Entity, Model},
    refresh_tokens,
};

/// What a program that asks too soon has to wait longer from then on (RFC 8628, section 3.5).
const SLOWER_MILLISECONDS: i64 = 5000;
/// What a question may be early by: clocks and networks are no metronomes.
const EARLY_MILLISECONDS: i64 = 500;

/// A program that asks to be signed in.
#[derive(Clone, Debug)]
pub struct NewDevice {
    /// Hash of the code that the program asks with.
    pub device_hash: String,
    /// Hash of the code that its person types.
    pub user_hash: String,
    /// What it calls itself.
    pub name: String,
    /// Where it asks from.
    pub address: String,
    /// When both codes expire.
    pub expires_at: Timestamp,
    /// Least time between two questions.
    pub interval_milliseconds: i64,
}

/// A program that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRecord {
    /// What it calls itself.
    pub name: String,
    /// Where it asked from.
    pub address: String,
    /// When.
    pub created_at: Timestamp,
    /// When its codes expire.
    pub expires_at: Timestamp,
}

/// What a program that asks is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nobody has decided yet.
    Pending,
    /// It asked too soon; it has to wait longer from now on.
    TooSoon,
    /// The person said no.
    Denied,
    /// There is no such code, any more or at all.
    Unknown,
    /// The person said yes; the first refresh token is stored.
    Granted(Grant),
}

/// Forgets what a person let in and nobody collected.
pub(crate) async fn end_all(connection: &impl ConnectionTrait, user: Uuid) -> Result<(), Error> {
    Entity::delete_many()
        .filter(Column::UserId.eq(user))
        .exec(connection)
        .await?;
    Ok(())
}

/// One that nobody has decided yet.
fn waiting(user_hash: &str, now: Timestamp) -> sea_orm::Select<Entity> {
    Entity::find()
        .filter(Column::UserHash.eq(user_hash))
        .filter(Column::ExpiresAt.gt(now.milliseconds()))
        .filter(Column::UserId.is_null())
        .filter(Column::Denied.eq(false))
}

const fn granted(row: &Model) -> Option<Grant> {
    match (row.user_id, row.organisation_id) {
        (Some(user), Some(organisation)) => Some(Grant {
            user: UserId::from_uuid(user),
            organisation: OrganisationId::from_uuid(organisation),
        }),
        _ => None,
    }
}

impl Store {
    /// Lets a program wait.
    pub async fn create_device(&self, new: NewDevice, now: Timestamp) -> Result<(), Error> {
        let row = Model {
            device_hash: new.device_hash,
            user_hash: new.user_hash,
            name: new.name,
            address: new.address,
            created_at: now.milliseconds(),
            expires_at: new.expires_at.milliseconds(),
            interval_milliseconds: new.interval_milliseconds,
            asked_at: None,
            denied: false,
            user_id: None,
            organisation_id: None,
        };
        Ok(insert(self.writer(), row).await?)
    }

    /// The program behind a code that nobody has decided about; whoever has the code may look.
    pub async fn find_device_any(
        &self,
        user_hash: &str,
        now: Timestamp,
    ) -> Result<Option<DeviceRecord>, Error> {
        let row = waiting(user_hash, now).one(&self.reader).await?;
        Ok(row.map(|row| DeviceRecord {
            name: row.name,
            address: row.address,
            created_at: Timestamp::from_milliseconds(row.created_at),
            expires_at: Timestamp::from_milliseconds(row.expires_at),
        }))
    }

    /// Lets the program behind a code in, or not; `false` where nobody waits behind it.
    pub async fn decide_device(
        &self,
        user_hash: &str,
        by: Grant,
        approve: bool,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let transaction = self.begin().await?;
        let row = waiting(user_hash, now)
            .lock(LockType::NoKeyUpdate)
            .one(&transaction)
            .await?;
        let Some(row) = row else {
            transaction.rollback().await?;
            return Ok(false);
        };
        let grant = approve.then_some(by);
        let user = grant.map(|grant| grant.user.uuid());
        let organisation = grant.map(|grant| grant.organisation.uuid());
        Entity::update_many()
            .col_expr(Column::Denied, Expr::value(!approve))
            .col_expr(Column::UserId, Expr::value(user))
            .col_expr(Column::OrganisationId, Expr::value(organisation))
            .filter(Column::DeviceHash.eq(row.device_hash))
            .exec(&transaction)
            .await?;
        let action = if approve {
            "device.approved"
        } else {
            "device.denied"
        };
        let deed = Deed::new(action, by.user).detail(format!("{} at {}", row.name, row.address));
        // What concerns nobody else stands in the log of the person's own organisation.
        let own = OrganisationId::from_uuid(by.user.uuid());
        audit::record(&transaction, own, deed, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Tells a program where it stands. A yes is told once: the code is used up, and the refresh token stored.
    pub async fn ask_device(
        &self,
        device_hash: &str,
        (refresh_hash, refresh_end): (&str, Timestamp),
        now: Timestamp,
    ) -> Result<Asked, Error> {
        let transaction = self.begin().await?;
        let row = Entity::find_by_id(device_hash.to_owned())
            .filter(Column::ExpiresAt.gt(now.milliseconds()))
            .lock(LockType::Update)
            .one(&transaction)
            .await?;
        let Some(row) = row else {
            transaction.rollback().await?;
            return Ok(Asked::Unknown);
        };
        let asked = stand(&row, now);
        match asked {
            Asked::Pending | Asked::TooSoon => note(&transaction, &row, asked, now).await?,
            Asked::Granted(grant) => {
                refresh_tokens::start(&transaction, refresh_hash, grant, now, refresh_end).await?;
                row.delete(&transaction).await?;
            }
            Asked::Denied | Asked::Unknown => {
                row.delete(&transaction).await?;
            }
        }
        transaction.commit().await?;
        Ok(asked)
    }
}

fn stand(row: &Model, now: Timestamp) -> Asked {
    let soonest = |asked: i64| asked + row.interval_milliseconds - EARLY_MILLISECONDS;
    if row
        .asked_at
        .is_some_and(|asked| now.milliseconds() < soonest(asked))
    {
        return Asked::TooSoon;
    }
    if row.denied {
        return Asked::Denied;
    }
    granted(row).map_or(Asked::Pending, Asked::Granted)
}

async fn note(
    connection: &impl ConnectionTrait,
    row: &Model,
    asked: Asked,
    now: Timestamp,
) -> Result<(), Error> {
    let more = if asked == Asked::TooSoon {
        SLOWER_MILLISECONDS
    } else {
        0
    };
    Entity::update_many()
        .col_expr(Column::AskedAt, Expr::value(now.milliseconds()))
        .col_expr(
            Column::IntervalMilliseconds,
            Expr::value(row.interval_milliseconds + more),
        )
        .filter(Column::DeviceHash.eq(row.device_hash.as_str()))
        .exec(connection)
        .await?;
    Ok(())
}
