//! Browser sessions, kept by the hash of their token; and what expires with time.

use sea_orm::{ColumnTrait, EntityTrait, ModelTrait, QueryFilter, sea_query::Expr};
use shared::{Timestamp, UserId};

use crate::{
    Error, Store, UserRecord,
    audit::{self, Deed},
    database::insert,
    entity::{idempotency_key, job, session, upload, user},
    idempotency::KEPT_MILLISECONDS,
    uploads::COMPLETED,
};

impl Store {
    /// Starts a session; the caller keeps the token and gives its hash.
    pub async fn create_session(
        &self,
        token_hash: &str,
        user: UserId,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), Error> {
        let row = session::Model {
            token_hash: token_hash.to_owned(),
            user_id: user.uuid(),
            created_at: now.milliseconds(),
            expires_at: expires_at.milliseconds(),
        };
        let transaction = self.begin().await?;
        insert(&transaction, row).await?;
        audit::record(&transaction, user, Deed::new("session.created", user), now).await?;
        Ok(transaction.commit().await?)
    }

    /// The account behind a session that has not expired.
    pub async fn find_session_user(
        &self,
        token_hash: &str,
        now: Timestamp,
    ) -> Result<Option<UserRecord>, Error> {
        let session = session::Entity::find_by_id(token_hash.to_owned())
            .filter(session::Column::ExpiresAt.gt(now.milliseconds()))
            .one(&self.reader)
            .await?;
        let Some(session) = session else {
            return Ok(None);
        };
        let row = user::Entity::find_by_id(session.user_id)
            .one(&self.reader)
            .await?;
        Ok(row.map(UserRecord::from))
    }

    /// Ends a session; one that is not there has ended already.
    pub async fn delete_session(&self, token_hash: &str, now: Timestamp) -> Result<(), Error> {
        let transaction = self.begin().await?;
        let row = session::Entity::find_by_id(token_hash.to_owned());
        let Some(row) = row.one(&transaction).await? else {
            return Ok(transaction.rollback().await?);
        };
        let user = UserId::from_uuid(row.user_id);
        row.delete(&transaction).await?;
        audit::record(&transaction, user, Deed::new("session.ended", user), now).await?;
        Ok(transaction.commit().await?)
    }

    /// Removes expired sessions, uploads that never became an image and idempotency keys a day old.
    pub async fn delete_expired(&self, now: Timestamp) -> Result<(), Error> {
        let now = now.milliseconds();
        let old = now - KEPT_MILLISECONDS;
        let transaction = self.begin().await?;
        session::Entity::delete_many()
            .filter(session::Column::ExpiresAt.lte(now))
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
