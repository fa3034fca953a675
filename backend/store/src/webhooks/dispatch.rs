//! Deliveries as the sender sees them: claimed under a token, attempted, put off or ended.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, IntoActiveModel,
    QueryFilter, QuerySelect, Statement, sea_query::LockType,
};
use shared::{DeliveryId, EventId, OrganisationId, Timestamp, WebhookId, webhook::DeliveryAttempt};

use super::{PENDING, WebhookRecord, save as save_webhook};
use crate::{
    Error, Store,
    audit::{self, Deed},
    database::insert,
    entity::{webhook, webhook_attempt, webhook_delivery, webhook_event},
    text::{number, to_name},
};

/// A delivery that this sender holds until the claim runs out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedDelivery {
    /// Identifies the delivery.
    pub id: DeliveryId,
    /// The claim's token.
    pub token: i64,
    /// Attempts before this one.
    pub attempts: u32,
    /// The event's id.
    pub event_id: EventId,
    /// The body.
    pub body: String,
    /// Where it goes.
    pub webhook: WebhookRecord,
}

/// What follows an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it arrived.
    Delivered,
    /// Another attempt, and no other delivery to this webhook before `paused_until`.
    Retry {
        /// When.
        at: Timestamp,
        /// Whether the receiver is overloaded.
        paused_until: Option<Timestamp>,
    },
    /// No other attempt, of any event: the webhook is disabled.
    Disable {
        /// Why, for its owner.
        reason: String,
    },
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempted {
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub milliseconds: u32,
    /// What the receiver answered.
    pub response_status: Option<u16>,
    /// Why it did not count.
    pub error: Option<String>,
    /// What follows.
    pub verdict: Verdict,
}

/// Said of the row that is locked, too: one that another sender took meanwhile is looked at again, and only by what
/// stands beside the lock.
const FREE: &str = "status = 'pending' AND (claimed_until IS NULL OR claimed_until <= $1)";

/// At most four of one webhook at once, those that are under way among them, and whoever has fewest first: a slow
/// receiver does not keep others waiting.
fn claim_sql(is_postgres: bool) -> String {
    let lock = if is_postgres {
        "FOR UPDATE SKIP LOCKED"
    } else {
        "" // the transaction holds SQLite's only write lock already
    };
    format!(
        "UPDATE webhook_deliveries SET claimed_until = $2, token = token + 1
        WHERE {FREE} AND id IN (SELECT id FROM webhook_deliveries WHERE {FREE} AND id IN (
            SELECT id FROM (
                SELECT due.id AS id, due.next_attempt_at AS at, COALESCE(held.deliveries, 0) + ROW_NUMBER() OVER (
                    PARTITION BY due.webhook_id ORDER BY due.next_attempt_at, due.id) AS place
                FROM webhook_deliveries AS due JOIN webhooks ON webhooks.id = due.webhook_id
                LEFT JOIN (SELECT webhook_id, COUNT(*) AS deliveries FROM webhook_deliveries
                    WHERE status = 'pending' AND claimed_until > $1 GROUP BY webhook_id) AS held
                    ON held.webhook_id = due.webhook_id
                WHERE due.status = 'pending' AND due.next_attempt_at <= $1
                    AND (due.claimed_until IS NULL OR due.claimed_until <= $1)
                    AND webhooks.status = 'enabled'
                    AND (webhooks.paused_until IS NULL OR webhooks.paused_until <= $1)
            ) AS ranked WHERE place <= 4 ORDER BY place, at LIMIT $3) {lock})
        RETURNING *"
    )
}

impl Store {
    /// Claims deliveries that are due.
    pub async fn claim_deliveries(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<ClaimedDelivery>, Error> {
        let transaction = self.begin().await?;
        let values = [
            now.milliseconds().into(),
            until.milliseconds().into(),
            i64::from(limit).into(),
        ];
        let sql = claim_sql(self.is_postgres());
        let statement =
            Statement::from_sql_and_values(transaction.get_database_backend(), sql, values);
        let rows = transaction.query_all_raw(statement).await?;
        let mut claimed = Vec::new();
        for row in rows {
            let row = webhook_delivery::Model::from_query_result(&row, "")?;
            claimed.extend(complete(&transaction, row).await?);
        }
        transaction.commit().await?;
        Ok(claimed)
    }

    /// Notes an attempt and what follows, if the token still holds the delivery.
    pub async fn finish_delivery_attempt(
        &self,
        claimed: &ClaimedDelivery,
        attempted: Attempted,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let transaction = self.begin().await?;
        if let Verdict::Disable { reason } = &attempted.verdict {
            disable(&transaction, claimed.webhook.id, reason, now).await?;
        }
        let query = webhook_delivery::Entity::find_by_id(claimed.id.uuid())
            .lock(LockType::NoKeyUpdate)
            .one(&transaction)
            .await?;
        let held =
            |row: &webhook_delivery::Model| row.token == claimed.token && row.status == PENDING;
        let Some(mut row) = query.filter(held) else {
            transaction.rollback().await?;
            return Ok(false);
        };
        row.attempts += 1;
        insert(&transaction, attempt_row(&row, &attempted)?).await?;
        follow(&transaction, &mut row, &attempted.verdict, now).await?;
        webhook_delivery::Entity::update_many()
            .set(row.clone().into_active_model().reset_all())
            .filter(webhook_delivery::Column::Id.eq(row.id))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(true)
    }
}

async fn complete(
    connection: &impl ConnectionTrait,
    row: webhook_delivery::Model,
) -> Result<Option<ClaimedDelivery>, Error> {
    let webhook = webhook::Entity::find_by_id(row.webhook_id)
        .one(connection)
        .await?;
    let event = webhook_event::Entity::find_by_id(row.event_id)
        .one(connection)
        .await?;
    let (Some(webhook), Some(event)) = (webhook, event) else {
        return Ok(None); // deleted meanwhile
    };
    Ok(Some(ClaimedDelivery {
        id: DeliveryId::from_uuid(row.id),
        token: row.token,
        attempts: number("attempt count", row.attempts)?,
        event_id: EventId::from_uuid(row.event_id),
        body: event.body,
        webhook: webhook.try_into()?,
    }))
}

fn attempt_row(
    row: &webhook_delivery::Model,
    attempted: &Attempted,
) -> Result<webhook_attempt::Model, Error> {
    let attempt = DeliveryAttempt {
        number: number("attempt number", row.attempts)?,
        at: attempted.at,
        milliseconds: attempted.milliseconds,
        response_status: attempted.response_status,
        error: attempted.error.clone(),
    };
    Ok(webhook_attempt::Model {
        delivery_id: row.id,
        number: row.attempts,
        at: attempt.at.milliseconds(),
        milliseconds: number("attempt time", attempt.milliseconds)?,
        response_status: attempt.response_status.map(i32::from),
        error: attempt.error,
    })
}

async fn follow(
    connection: &impl ConnectionTrait,
    row: &mut webhook_delivery::Model,
    verdict: &Verdict,
    now: Timestamp,
) -> Result<(), Error> {
    row.claimed_until = None;
    let end = match verdict {
        Verdict::Retry { at, paused_until } => {
            row.next_attempt_at = Some(at.milliseconds());
            if let Some(until) = paused_until {
                pause(connection, row.webhook_id, *until).await?;
            }
            return Ok(());
        }
        Verdict::Delivered => "succeeded",
        Verdict::Disable { .. } => "failed",
    };
    end.clone_into(&mut row.status);
    row.next_attempt_at = None;
    row.completed_at = Some(now.milliseconds());
    Ok(())
}

async fn pause(
    connection: &impl ConnectionTrait,
    webhook: uuid::Uuid,
    until: Timestamp,
) -> Result<(), Error> {
    use sea_orm::sea_query::Expr;
    webhook::Entity::update_many()
        .col_expr(
            webhook::Column::PausedUntil,
            Expr::value(Some(until.milliseconds())),
        )
        .filter(webhook::Column::Id.eq(webhook))
        .exec(connection)
        .await?;
    Ok(())
}

/// Disables a webhook and tells its owner's log; what waits for it waits until it is enabled again.
async fn disable(
    connection: &impl ConnectionTrait,
    id: WebhookId,
    reason: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let find = || webhook::Entity::find_by_id(id.uuid());
    let Some(row) = find().one(connection).await? else {
        return Ok(());
    };
    let owner = OrganisationId::from_uuid(row.owner_id);
    let deed = Deed::new("webhook.disabled", id).detail(reason);
    audit::record(connection, owner, deed, now).await?;
    let locked = find().lock(LockType::NoKeyUpdate).one(connection).await?;
    let Some(mut row) = locked else {
        return Ok(());
    };
    row.status = to_name("webhook status", &shared::webhook::WebhookStatus::Disabled)?;
    row.status_reason = Some(reason.to_owned());
    row.updated_at = now.milliseconds().max(row.updated_at + 1);
    save_webhook(connection, row).await
}
