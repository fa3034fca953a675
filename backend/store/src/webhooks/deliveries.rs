//! Deliveries as their owner sees them: the log, a replay, a test.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use shared::{
    DeliveryId, EventId, OrganisationId, Timestamp, WebhookId,
    webhook::{Delivery, DeliveryAttempt, EventData, EventType},
};
use uuid::Uuid;

use super::{insert_delivery, insert_event, lock};
use crate::{
    Error, Store,
    database::page,
    entity::{webhook_attempt, webhook_delivery, webhook_event},
    text::{from_name, number},
};

/// A delivery with its attempts.
pub type DeliveryRecord = Delivery;

fn attempt(row: webhook_attempt::Model) -> Result<DeliveryAttempt, Error> {
    Ok(DeliveryAttempt {
        number: number("attempt number", row.number)?,
        at: Timestamp::from_milliseconds(row.at),
        milliseconds: number("attempt time", row.milliseconds)?,
        response_status: row
            .response_status
            .map(|status| number("response status", status))
            .transpose()?,
        error: row.error,
    })
}

fn owned(owner: OrganisationId, webhook: WebhookId) -> sea_orm::Select<webhook_delivery::Entity> {
    webhook_delivery::Entity::find()
        .filter(webhook_delivery::Column::OwnerId.eq(owner.uuid()))
        .filter(webhook_delivery::Column::WebhookId.eq(webhook.uuid()))
}

impl Store {
    /// Deliveries to a webhook of this owner, newest first, from below `after`.
    pub async fn list_deliveries(
        &self,
        owner: OrganisationId,
        webhook: WebhookId,
        after: Option<DeliveryId>,
        limit: u64,
    ) -> Result<Vec<DeliveryRecord>, Error> {
        let query = owned(owner, webhook);
        let rows = page(
            query,
            webhook_delivery::Column::Id,
            after.map(DeliveryId::uuid),
            limit,
        )
        .all(&self.reader)
        .await?;
        self.complete_deliveries(rows).await
    }

    /// Finds a delivery to a webhook of this owner.
    pub async fn find_delivery(
        &self,
        owner: OrganisationId,
        webhook: WebhookId,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRecord>, Error> {
        let row = owned(owner, webhook)
            .filter(webhook_delivery::Column::Id.eq(id.uuid()))
            .one(&self.reader)
            .await?;
        let found = self.complete_deliveries(row.into_iter().collect()).await?;
        Ok(found.into_iter().next())
    }

    /// Sends the event of a delivery again; the receiver sees the same `webhook-id`.
    pub async fn replay_delivery(
        &self,
        owner: OrganisationId,
        delivery: &DeliveryRecord,
        now: Timestamp,
    ) -> Result<Option<DeliveryRecord>, Error> {
        let (webhook, event) = (delivery.webhook_id, delivery.event_id);
        self.deliver(owner, webhook, Some(event), now).await
    }

    /// Sends a test event to one webhook.
    pub async fn test_webhook(
        &self,
        owner: OrganisationId,
        webhook: WebhookId,
        now: Timestamp,
    ) -> Result<Option<DeliveryRecord>, Error> {
        self.deliver(owner, webhook, None, now).await
    }

    async fn deliver(
        &self,
        owner: OrganisationId,
        webhook: WebhookId,
        event: Option<EventId>,
        now: Timestamp,
    ) -> Result<Option<DeliveryRecord>, Error> {
        let transaction = self.begin().await?;
        let Some(row) = lock(&transaction, owner, webhook).await? else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let event = if let Some(event) = event {
            event
        } else {
            let data = EventData {
                id: webhook.to_string(),
                url: format!("/v1/webhooks/{webhook}"),
            };
            insert_event(&transaction, owner, (EventType::WebhookTest, data), now).await?
        };
        let id = insert_delivery(&transaction, &row, event, now).await?;
        transaction.commit().await?;
        self.find_delivery(owner, webhook, DeliveryId::from_uuid(id))
            .await
    }

    /// Removes events that happened before a moment, with their deliveries.
    pub async fn delete_webhook_events(&self, before: Timestamp) -> Result<u64, Error> {
        let deleted = webhook_event::Entity::delete_many()
            .filter(webhook_event::Column::CreatedAt.lt(before.milliseconds()))
            .exec(self.writer())
            .await?;
        Ok(deleted.rows_affected)
    }

    /// Adds events and attempts, by two queries for all.
    async fn complete_deliveries(
        &self,
        rows: Vec<webhook_delivery::Model>,
    ) -> Result<Vec<DeliveryRecord>, Error> {
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let mut attempts: HashMap<Uuid, Vec<DeliveryAttempt>> = HashMap::new();
        let found = webhook_attempt::Entity::find()
            .filter(webhook_attempt::Column::DeliveryId.is_in(ids))
            .order_by_asc(webhook_attempt::Column::Number)
            .all(&self.reader)
            .await?;
        for row in found {
            let id = row.delivery_id;
            attempts.entry(id).or_default().push(attempt(row)?);
        }
        let events = rows.iter().map(|row| row.event_id);
        let events = webhook_event::Entity::find()
            .filter(webhook_event::Column::Id.is_in(events))
            .all(&self.reader)
            .await?;
        let events: HashMap<Uuid, webhook_event::Model> =
            events.into_iter().map(|event| (event.id, event)).collect();
        rows.into_iter()
            .filter_map(|row| {
                let event = events.get(&row.event_id)?.clone();
                let attempts = attempts.remove(&row.id).unwrap_or_default();
                Some(delivery(&row, event, attempts))
            })
            .collect()
    }
}

fn delivery(
    row: &webhook_delivery::Model,
    event: webhook_event::Model,
    attempts: Vec<DeliveryAttempt>,
) -> Result<DeliveryRecord, Error> {
    Ok(Delivery {
        id: DeliveryId::from_uuid(row.id),
        webhook_id: WebhookId::from_uuid(row.webhook_id),
        event_id: EventId::from_uuid(row.event_id),
        event_type: from_name("event type", &event.event_type)?,
        body: event.body,
        status: from_name("delivery status", &row.status)?,
        attempts,
        next_attempt_at: row.next_attempt_at.map(Timestamp::from_milliseconds),
        created_at: Timestamp::from_milliseconds(row.created_at),
        completed_at: row.completed_at.map(Timestamp::from_milliseconds),
    })
}
