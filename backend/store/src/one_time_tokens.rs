//! Tokens of links in letters, and what they allow once: confirm an address, set a password.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ModelTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType},
};
use shared::{OrganisationId, Timestamp, UserId};
use uuid::Uuid;

use crate::{
    Error, NewEmail, Store,
    audit::{self, Deed},
    database::insert,
    device_authorizations, emails,
    entity::{
        api_key,
        one_time_token::{Column, Entity, Model},
        recovery_code, second_factor, session, user, webhook,
    },
    refresh_tokens,
};

/// What a link in a letter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Shows that the reader has the address.
    VerifyEmail,
    /// Sets a new password.
    ResetPassword,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
        }
    }
}

/// Uses a token up; the account that it was made for.
async fn take(
    connection: &impl ConnectionTrait,
    token_hash: &str,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Option<Uuid>, Error> {
    let row = Entity::find_by_id(token_hash.to_owned())
        .filter(Column::Purpose.eq(purpose.as_str()))
        .filter(Column::ExpiresAt.gt(now.milliseconds()))
        .lock(LockType::NoKeyUpdate)
        .one(connection)
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let user = row.user_id;
    row.delete(connection).await?;
    Ok(Some(user))
}

/// The reader of a letter has the address.
async fn verify(
    connection: &impl ConnectionTrait,
    user: Uuid,
    now: Timestamp,
) -> Result<(), Error> {
    user::Entity::update_many()
        .col_expr(
            user::Column::EmailVerifiedAt,
            Expr::value(now.milliseconds()),
        )
        .filter(user::Column::Id.eq(user))
        .filter(user::Column::EmailVerifiedAt.is_null())
        .exec(connection)
        .await?;
    Ok(())
}

/// Sets a password and ends what the old one had opened, but for one session; last in its transaction.
async fn set_password(
    connection: &impl ConnectionTrait,
    user: Uuid,
    (password_hash, kept_session): (&str, Option<&str>),
    now: Timestamp,
) -> Result<(), Error> {
    user::Entity::update_many()
        .col_expr(user::Column::PasswordHash, Expr::value(password_hash))
        .filter(user::Column::Id.eq(user))
        .exec(connection)
        .await?;
    session::Entity::delete_many()
        .filter(session::Column::UserId.eq(user))
        .filter(session::Column::TokenHash.ne(kept_session.unwrap_or_default()))
        .exec(connection)
        .await?;
    Entity::delete_many()
        .filter(Column::UserId.eq(user))
        .filter(Column::Purpose.eq(Purpose::ResetPassword.as_str()))
        .exec(connection)
        .await?;
    device_authorizations::end_all(connection, user).await?;
    refresh_tokens::end_all(connection, user).await?;
    let deed = Deed::new("user.password_changed", UserId::from_uuid(user));
    audit::record(connection, OrganisationId::from_uuid(user), deed, now).await
}

/// Ends what somebody may have left in an account that was opened with another's address: its keys, its second factor, its webhooks. Sessions and tokens end
/// with the password.
async fn close_ways_in(connection: &impl ConnectionTrait, user: Uuid) -> Result<(), Error> {
    api_key::Entity::delete_many()
        .filter(api_key::Column::UserId.eq(user))
        .exec(connection)
        .await?;
    recovery_code::Entity::delete_many()
        .filter(recovery_code::Column::UserId.eq(user))
        .exec(connection)
        .await?;
    second_factor::Entity::delete_by_id(user)
        .exec(connection)
        .await?;
    webhook::Entity::delete_many()
        .filter(webhook::Column::OwnerId.eq(user))
        .exec(connection)
        .await?;
    Ok(())
}

impl Store {
    /// Makes a token and queues the letter that holds it; an earlier one for the same purpose ends.
    pub async fn create_one_time_token(
        &self,
        (token_hash, purpose): (&str, Purpose),
        user: UserId,
        letter: NewEmail,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), Error> {
        let row = Model {
            token_hash: token_hash.to_owned(),
            user_id: user.uuid(),
            purpose: purpose.as_str().to_owned(),
            created_at: now.milliseconds(),
            expires_at: expires_at.milliseconds(),
        };
        let transaction = self.begin().await?;
        Entity::delete_many()
            .filter(Column::UserId.eq(row.user_id))
            .filter(Column::Purpose.eq(row.purpose.as_str()))
            .exec(&transaction)
            .await?;
        insert(&transaction, row).await?;
        emails::enqueue(&transaction, letter, now).await?;
        Ok(transaction.commit().await?)
    }

    /// Confirms the address of the account that a token was made for, if that account is the caller's; else nothing
    /// changes. Whose token it is, `None` for an unknown one.
    ///
    /// Whoever reads a letter need not have opened the account: a stranger's, with the reader's address, must not become
    /// proven by a click.
    pub async fn verify_email(
        &self,
        token_hash: &str,
        caller: UserId,
        now: Timestamp,
    ) -> Result<Option<UserId>, Error> {
        let transaction = self.begin().await?;
        let user = take(&transaction, token_hash, Purpose::VerifyEmail, now).await?;
        match user {
            Some(user) if user == caller.uuid() => {
                verify(&transaction, user, now).await?;
                transaction.commit().await?;
            }
            _ => transaction.rollback().await?,
        }
        Ok(user.map(UserId::from_uuid))
    }

    /// Sets the password of the account that a token was made for, and ends its sessions and refresh
    /// tokens, and where nobody had proved the address before, every other way in, too; the account's address, `None` for an unknown token.
    pub async fn reset_password(
        &self,
        token_hash: &str,
        password_hash: &str,
        now: Timestamp,
    ) -> Result<Option<String>, Error> {
        let transaction = self.begin().await?;
        let Some(user) = take(&transaction, token_hash, Purpose::ResetPassword, now).await? else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let row = user::Entity::find_by_id(user).one(&transaction).await?;
        if row
            .as_ref()
            .is_some_and(|row| row.email_verified_at.is_none())
        {
            close_ways_in(&transaction, user).await?;
        }
        verify(&transaction, user, now).await?;
        set_password(&transaction, user, (password_hash, None), now).await?;
        transaction.commit().await?;
        Ok(row.map(|row| row.email))
    }

    /// Sets an account's password and ends its refresh tokens and its sessions but for one.
    pub async fn change_password(
        &self,
        user: UserId,
        password_hash: &str,
        kept_session: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let transaction = self.begin().await?;
        let changed = (password_hash, kept_session);
        set_password(&transaction, user.uuid(), changed, now).await?;
        Ok(transaction.commit().await?)
    }
}
