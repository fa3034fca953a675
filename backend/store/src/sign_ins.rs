//! Failed sign-ins in a row, counted alike for addresses with and without an account.

use sea_orm::{
    EntityTrait, IntoActiveModel, QuerySelect,
    sea_query::{LockType, OnConflict},
};
use shared::Timestamp;

use crate::{
    Error, Store,
    entity::sign_in_failure::{Column, Entity, Model},
    text::number,
};

/// After this long without a failure, counting begins anew.
pub(crate) const FORGOTTEN_MILLISECONDS: i64 = 24 * 3_600_000;

impl Store {
    /// Until when signing in is refused; `None` where it is not.
    pub async fn find_lock(
        &self,
        subject: &str,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Error> {
        let row = Entity::find_by_id(subject.to_owned())
            .one(&self.reader)
            .await?;
        Ok(row
            .map(|row| Timestamp::from_milliseconds(row.locked_until))
            .filter(|until| *until > now))
    }

    /// Counts a failure; `wait` says for how many milliseconds so many in a row lock.
    pub async fn count_failure(
        &self,
        subject: &str,
        now: Timestamp,
        wait: impl Fn(u32) -> i64,
    ) -> Result<(), Error> {
        let transaction = self.begin().await?;
        let known = Entity::find_by_id(subject.to_owned())
            .lock(LockType::NoKeyUpdate)
            .one(&transaction)
            .await?;
        let recent = known.filter(|row| row.last_at > now.milliseconds() - FORGOTTEN_MILLISECONDS);
        let failures = recent.map_or(0, |row| row.failures).saturating_add(1);
        let row = Model {
            subject: subject.to_owned(),
            failures,
            last_at: now.milliseconds(),
            locked_until: now.milliseconds() + wait(number("failure count", failures)?),
        };
        let mut conflict = OnConflict::column(Column::Subject);
        conflict.update_columns([Column::Failures, Column::LastAt, Column::LockedUntil]);
        Entity::insert(row.into_active_model())
            .on_conflict(conflict)
            .exec_without_returning(&transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// Forgets the failures of an address that proved itself.
    pub async fn clear_failures(&self, subject: &str) -> Result<(), Error> {
        Entity::delete_by_id(subject.to_owned())
            .exec(self.writer())
            .await?;
        Ok(())
    }
}
