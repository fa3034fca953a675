//! What time alone removes.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, sea_query::Expr};
use shared::Timestamp;

use crate::{
    Error, Store,
    entity::{
        authorization, device_authorization, idempotency_key, invitation, job, one_time_token,
        refresh_token, session, share_view, sign_in_failure, upload,
    },
    idempotency::KEPT_MILLISECONDS,
    share_links,
    sign_ins::FORGOTTEN_MILLISECONDS,
    uploads::COMPLETED,
};

/// Everything that lets somebody in and has its own end.
async fn delete_credentials(connection: &impl ConnectionTrait, now: i64) -> Result<(), Error> {
    session::Entity::delete_many()
        .filter(session::Column::ExpiresAt.lte(now))
        .exec(connection)
        .await?;
    refresh_token::Entity::delete_many()
        .filter(refresh_token::Column::ExpiresAt.lte(now))
        .exec(connection)
        .await?;
    one_time_token::Entity::delete_many()
        .filter(one_time_token::Column::ExpiresAt.lte(now))
        .exec(connection)
        .await?;
    device_authorization::Entity::delete_many()
        .filter(device_authorization::Column::ExpiresAt.lte(now))
        .exec(connection)
        .await?;
    authorization::Entity::delete_many()
        .filter(authorization::Column::ExpiresAt.lte(now))
        .exec(connection)
        .await?;
    invitation::Entity::delete_many()
        .filter(invitation::Column::ExpiresAt.lte(now))
        .exec(connection)
        .await?;
    sign_in_failure::Entity::delete_many()
        .filter(sign_in_failure::Column::LastAt.lte(now - FORGOTTEN_MILLISECONDS))
        .filter(sign_in_failure::Column::LockedUntil.lte(now))
        .exec(connection)
        .await?;
    Ok(())
}

impl Store {
    /// Removes expired sessions, tokens and invitations, uploads that never became an image, visits
    /// of shared pages that are long ago, and idempotency keys a day old.
    pub async fn delete_expired(&self, now: Timestamp) -> Result<(), Error> {
        let now = now.milliseconds();
        let old = now - KEPT_MILLISECONDS;
        let transaction = self.begin().await?;
        delete_credentials(&transaction, now).await?;
        share_view::Entity::delete_many()
            .filter(share_view::Column::At.lte(now - share_links::KEPT_MILLISECONDS))
            .exec(&transaction)
            .await?;
        upload::Entity::delete_many()
            .filter(upload::Column::ExpiresAt.lte(now))
            .filter(upload::Column::Status.ne(COMPLETED))
            .exec(&transaction)
            .await?;
        idempotency_key::Entity::delete_many()
            .filter(idempotency_key::Column::CreatedAt.lte(old))
            .exec(&transaction)
            .await?;
        job::Entity::update_many()
            .col_expr(job::Column::IdempotencyKey, Expr::value(None::<String>))
            .filter(job::Column::CreatedAt.lte(old))
            .filter(job::Column::IdempotencyKey.is_not_null())
            .exec(&transaction)
            .await?;
        Ok(transaction.commit().await?)
    }
}
