//! Letters: queued in the transaction that they tell of, handed over afterwards, then forgotten.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};
use shared::Timestamp;
use uuid::Uuid;

use crate::{
    Error, Store,
    database::{insert, new_uuid},
    entity::email::{Column, Entity, Model},
    text::number,
};

/// A letter to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEmail {
    /// Address of the reader.
    pub recipient: String,
    /// Subject line.
    pub subject: String,
    /// Plain text.
    pub body: String,
}

/// A letter that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailRecord {
    /// Identifies the letter.
    pub id: Uuid,
    /// What it says.
    pub letter: NewEmail,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was written.
    pub created_at: Timestamp,
}

impl TryFrom<Model> for EmailRecord {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        Ok(Self {
            id: row.id,
            attempts: number("attempt count", row.attempts)?,
            created_at: Timestamp::from_milliseconds(row.created_at),
            letter: NewEmail {
                recipient: row.recipient,
                subject: row.subject,
                body: row.body,
            },
        })
    }
}

/// Queues a letter.
pub(crate) async fn enqueue(
    connection: &impl ConnectionTrait,
    letter: NewEmail,
    now: Timestamp,
) -> Result<(), Error> {
    let row = Model {
        id: new_uuid(now),
        recipient: letter.recipient,
        subject: letter.subject,
        body: letter.body,
        created_at: now.milliseconds(),
        attempts: 0,
        next_attempt_at: now.milliseconds(),
    };
    Ok(insert(connection, row).await?)
}

impl Store {
    /// Queues a letter that goes with no other change.
    pub async fn enqueue_email(&self, letter: NewEmail, now: Timestamp) -> Result<(), Error> {
        enqueue(self.writer(), letter, now).await
    }

    /// Letters that are due, oldest first.
    pub async fn list_due_emails(
        &self,
        now: Timestamp,
        limit: u64,
    ) -> Result<Vec<EmailRecord>, Error> {
        let rows = Entity::find()
            .filter(Column::NextAttemptAt.lte(now.milliseconds()))
            .order_by_asc(Column::Id)
            .limit(limit)
            .all(&self.reader)
            .await?;
        rows.into_iter().map(EmailRecord::try_from).collect()
    }

    /// Notes that an attempt begins: the letter is due again then, unless it is deleted before.
    ///
    /// `false` where another process tries it now.
    pub async fn begin_email(&self, letter: &EmailRecord, again: Timestamp) -> Result<bool, Error> {
        let attempts: i32 = number("attempt count", letter.attempts)?;
        let changed = Entity::update_many()
            .col_expr(Column::Attempts, Expr::value(attempts + 1))
            .col_expr(Column::NextAttemptAt, Expr::value(again.milliseconds()))
            .filter(Column::Id.eq(letter.id))
            .filter(Column::Attempts.eq(attempts))
            .exec(self.writer())
            .await?;
        Ok(changed.rows_affected > 0)
    }

    /// Forgets a letter that was handed over or given up.
    pub async fn delete_email(&self, id: Uuid) -> Result<(), Error> {
        Entity::delete_by_id(id).exec(self.writer()).await?;
        Ok(())
    }
}
