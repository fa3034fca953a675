//! Idempotency keys: the first request runs, its repeats get the same answer.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType, OnConflict},
};
use shared::{Timestamp, UserId};

use crate::{
    Error, Store,
    entity::idempotency_key::{Column, Entity, Model},
    text::{from_json, number, to_json},
};

/// How long an answer is kept: one day.
pub(crate) const KEPT_MILLISECONDS: i64 = 24 * 60 * 60 * 1000;
/// A request that has not answered for this long died with its process.
const ABANDONED_MILLISECONDS: i64 = 60 * 1000;

/// An answer to be given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResponse {
    /// HTTP status.
    pub status: u16,
    /// Headers worth repeating, as name and value.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

/// What a request with an idempotency key may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Run, then `finish_idempotent` or `abandon_idempotent`.
    Fresh,
    /// Answer this again.
    Replay(StoredResponse),
    /// The first request is still running.
    Running,
    /// The key was used for another request.
    Mismatch,
}

fn replay(row: Model) -> Result<Begun, Error> {
    let (Some(status), Some(headers), Some(body)) = (row.status, row.headers, row.body) else {
        return Ok(Begun::Running);
    };
    Ok(Begun::Replay(StoredResponse {
        status: number("response status", status)?,
        headers: from_json("response headers", &headers)?,
        body,
    }))
}

async fn insert_key(connection: &impl ConnectionTrait, row: Model) -> Result<bool, Error> {
    let inserted = Entity::insert(row.into_active_model())
        .on_conflict(
            OnConflict::columns([Column::PrincipalId, Column::IdempotencyKey])
                .do_nothing()
                .to_owned(),
        )
        .exec_without_returning(connection)
        .await?;
    Ok(inserted > 0)
}

impl Store {
    /// Claims a key for a request, or says what became of the request that claimed it first.
    ///
    /// A key is free again when it is a day old, or a minute old without an answer. What the first
    /// request may have committed before it died is found by `NewJob::idempotency_key`. The request's own commit takes
    /// the claim to the disk; a claim without one is worth nothing.
    pub async fn begin_idempotent(
        &self,
        principal: UserId,
        key: &str,
        fingerprint: &str,
        now: Timestamp,
    ) -> Result<Begun, Error> {
        let row = Model {
            principal_id: principal.uuid(),
            idempotency_key: key.to_owned(),
            fingerprint: fingerprint.to_owned(),
            status: None,
            headers: None,
            body: None,
            created_at: now.milliseconds(),
        };
        if insert_key(&self.writer_with_the_next()?, row.clone()).await? {
            return Ok(Begun::Fresh);
        }
        let transaction = self.begin().await?;
        let begun = meet(&transaction, row).await?;
        transaction.commit_with_the_next().await?;
        Ok(begun)
    }

    /// Stores the answer of a fresh request.
    pub async fn finish_idempotent(
        &self,
        principal: UserId,
        key: &str,
        response: &StoredResponse,
    ) -> Result<(), Error> {
        let headers = to_json("response headers", &response.headers)?;
        Entity::update_many()
            .col_expr(Column::Status, Expr::value(i32::from(response.status)))
            .col_expr(Column::Headers, Expr::value(headers))
            .col_expr(Column::Body, Expr::value(response.body.clone()))
            .filter(Column::PrincipalId.eq(principal.uuid()))
            .filter(Column::IdempotencyKey.eq(key))
            .filter(Column::Status.is_null())
            .exec(self.writer())
            .await?;
        Ok(())
    }

    /// Frees the key of a fresh request that changed nothing, so that it can be tried again.
    pub async fn abandon_idempotent(&self, principal: UserId, key: &str) -> Result<(), Error> {
        Entity::delete_many()
            .filter(Column::PrincipalId.eq(principal.uuid()))
            .filter(Column::IdempotencyKey.eq(key))
            .filter(Column::Status.is_null())
            .exec(&self.writer_with_the_next()?)
            .await?;
        Ok(())
    }
}

/// What a request does that finds its key taken.
async fn meet(connection: &impl ConnectionTrait, asked: Model) -> Result<Begun, Error> {
    let query = Entity::find_by_id((asked.principal_id, asked.idempotency_key.clone()))
        .lock(LockType::NoKeyUpdate);
    let Some(found) = query.one(connection).await? else {
        return Ok(Begun::Running); // freed since; the client will ask again
    };
    let age = asked.created_at - found.created_at;
    if age < KEPT_MILLISECONDS && found.fingerprint != asked.fingerprint {
        return Ok(Begun::Mismatch);
    }
    let abandoned = found.status.is_none() && age >= ABANDONED_MILLISECONDS;
    if age < KEPT_MILLISECONDS && !abandoned {
        return replay(found);
    }
    Entity::update_many()
        .col_expr(Column::Fingerprint, Expr::value(asked.fingerprint))
        .col_expr(Column::Status, Expr::value(None::<i32>))
        .col_expr(Column::Headers, Expr::value(None::<String>))
        .col_expr(Column::Body, Expr::value(None::<String>))
        .col_expr(Column::CreatedAt, Expr::value(asked.created_at))
        .filter(Column::PrincipalId.eq(asked.principal_id))
        .filter(Column::IdempotencyKey.eq(asked.idempotency_key))
        .exec(connection)
        .await?;
    Ok(Begun::Fresh)
}
