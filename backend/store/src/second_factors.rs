//! Second factors: what the secret of an authenticator app is derived from, the last code that it gave, recovery codes.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, sea_query::Expr};
use shared::{OrganisationId, Timestamp, UserId};
use uuid::Uuid;

use crate::{
    Error, Store,
    audit::{self, Deed},
    database::insert,
    entity::{recovery_code, second_factor},
};

/// A second factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondFactorRecord {
    /// What the secret that app and server share is derived from.
    pub secret: String,
    /// When the app was shown to work; before that, signing in does not ask for it.
    pub confirmed_at: Option<Timestamp>,
    /// Time step of the last code that was accepted: no code works twice.
    pub last_step: i64,
}

impl From<second_factor::Model> for SecondFactorRecord {
    fn from(row: second_factor::Model) -> Self {
        Self {
            secret: row.secret,
            confirmed_at: row.confirmed_at.map(Timestamp::from_milliseconds),
            last_step: row.last_step,
        }
    }
}

async fn put_codes(
    connection: &impl ConnectionTrait,
    user: Uuid,
    hashes: &[String],
) -> Result<(), Error> {
    recovery_code::Entity::delete_many()
        .filter(recovery_code::Column::UserId.eq(user))
        .exec(connection)
        .await?;
    for hash in hashes {
        let row = recovery_code::Model {
            user_id: user,
            code_hash: hash.clone(),
        };
        insert(connection, row).await?;
    }
    Ok(())
}

/// Tells the account's own log; last in its transaction.
async fn tell(
    connection: &impl ConnectionTrait,
    action: &str,
    user: UserId,
    now: Timestamp,
) -> Result<(), Error> {
    let log = OrganisationId::from_uuid(user.uuid());
    audit::record(connection, log, Deed::new(action, user), now).await
}

impl Store {
    /// Begins to set up an app; an earlier unfinished set-up is replaced, `false` where one is in use.
    pub async fn begin_second_factor(&self, user: UserId, secret: &str) -> Result<bool, Error> {
        let row = second_factor::Model {
            user_id: user.uuid(),
            secret: secret.to_owned(),
            confirmed_at: None,
            last_step: 0,
        };
        let transaction = self.begin().await?;
        second_factor::Entity::delete_many()
            .filter(second_factor::Column::UserId.eq(user.uuid()))
            .filter(second_factor::Column::ConfirmedAt.is_null())
            .exec(&transaction)
            .await?;
        match insert(&transaction, row).await.map_err(Error::from) {
            Ok(()) => {
                transaction.commit().await?;
                Ok(true)
            }
            Err(Error::Conflict(_)) => {
                transaction.rollback().await?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The second factor of an account, set up or being set up.
    pub async fn find_second_factor(
        &self,
        user: UserId,
    ) -> Result<Option<SecondFactorRecord>, Error> {
        let row = second_factor::Entity::find_by_id(user.uuid())
            .one(&self.reader)
            .await?;
        Ok(row.map(SecondFactorRecord::from))
    }

    /// Puts a set-up into use with its first code's step and its recovery codes; `false` where none waits.
    pub async fn confirm_second_factor(
        &self,
        user: UserId,
        step: i64,
        code_hashes: &[String],
        now: Timestamp,
    ) -> Result<bool, Error> {
        use second_factor::Column;
        let transaction = self.begin().await?;
        let changed = second_factor::Entity::update_many()
            .col_expr(Column::ConfirmedAt, Expr::value(now.milliseconds()))
            .col_expr(Column::LastStep, Expr::value(step))
            .filter(Column::UserId.eq(user.uuid()))
            .filter(Column::ConfirmedAt.is_null())
            .exec(&transaction)
            .await?;
        if changed.rows_affected == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        put_codes(&transaction, user.uuid(), code_hashes).await?;
        tell(&transaction, "second_factor.enabled", user, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Uses the code of a time step up; `false` where it or a later one was used before.
    pub async fn use_totp_step(&self, user: UserId, step: i64) -> Result<bool, Error> {
        use second_factor::Column;
        let changed = second_factor::Entity::update_many()
            .col_expr(Column::LastStep, Expr::value(step))
            .filter(Column::UserId.eq(user.uuid()))
            .filter(Column::LastStep.lt(step))
            .exec(self.writer())
            .await?;
        Ok(changed.rows_affected > 0)
    }

    /// Uses a recovery code up; `false` where there is none.
    pub async fn use_recovery_code(&self, user: UserId, code_hash: &str) -> Result<bool, Error> {
        let deleted = recovery_code::Entity::delete_many()
            .filter(recovery_code::Column::UserId.eq(user.uuid()))
            .filter(recovery_code::Column::CodeHash.eq(code_hash))
            .exec(self.writer())
            .await?;
        Ok(deleted.rows_affected > 0)
    }

    /// Replaces the recovery codes.
    pub async fn replace_recovery_codes(
        &self,
        user: UserId,
        code_hashes: &[String],
        now: Timestamp,
    ) -> Result<(), Error> {
        let transaction = self.begin().await?;
        put_codes(&transaction, user.uuid(), code_hashes).await?;
        tell(&transaction, "second_factor.codes_renewed", user, now).await?;
        Ok(transaction.commit().await?)
    }

    /// Ends the second factor; signing in takes the password alone again.
    pub async fn delete_second_factor(&self, user: UserId, now: Timestamp) -> Result<(), Error> {
        let transaction = self.begin().await?;
        put_codes(&transaction, user.uuid(), &[]).await?;
        second_factor::Entity::delete_by_id(user.uuid())
            .exec(&transaction)
            .await?;
        tell(&transaction, "second_factor.disabled", user, now).await?;
        Ok(transaction.commit().await?)
    }
}
