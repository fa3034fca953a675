//! Webhooks, the events that they tell, and the ledger of deliveries.
//!
//! An event and its deliveries are written in the transaction of what happened. Refuses HTTP: sending is the API's.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, ModelTrait, PaginatorTrait,
    QueryFilter, QuerySelect, sea_query::LockType,
};
use shared::{
    EventId, OrganisationId, Timestamp, WebhookId,
    webhook::{EventData, EventType, MAX_WEBHOOKS, WebhookPayload, WebhookStatus},
};

use crate::{
    Error, Store,
    audit::{self, Deed},
    database::{insert, new_uuid, page},
    entity::{webhook, webhook_delivery, webhook_event},
    organisations,
    text::{from_json, from_name, number, to_json, to_name},
};

mod deliveries;
mod dispatch;

pub use deliveries::DeliveryRecord;
pub use dispatch::{Attempted, ClaimedDelivery, Verdict};

pub(crate) const PENDING: &str = "pending";
const ENABLED: &str = "enabled";

/// What a webhook is added with.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    /// Where events go.
    pub url: String,
    /// What it is for.
    pub description: String,
    /// Which events; none named: all.
    pub events: Vec<EventType>,
}

/// What changes; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct WebhookChange {
    /// Where events go.
    pub url: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Which events.
    pub events: Option<Vec<EventType>>,
    /// Whether it is told anything.
    pub status: Option<WebhookStatus>,
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookRecord {
    /// Identifies the webhook.
    pub id: WebhookId,
    /// Where events go.
    pub url: String,
    /// What it is for.
    pub description: String,
    /// Which events; none named: all.
    pub events: Vec<EventType>,
    /// Whether it is told anything.
    pub status: WebhookStatus,
    /// Why it is disabled.
    pub status_reason: Option<String>,
    /// Number of its secret, from 1.
    pub secret_generation: u32,
    /// Until when the secret before signs too.
    pub previous_secret_until: Option<Timestamp>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When its owner changed it last.
    pub updated_at: Timestamp,
}

impl TryFrom<webhook::Model> for WebhookRecord {
    type Error = Error;

    fn try_from(row: webhook::Model) -> Result<Self, Error> {
        Ok(Self {
            id: WebhookId::from_uuid(row.id),
            url: row.url,
            description: row.description,
            events: from_json("event types", &row.events)?,
            status: from_name("webhook status", &row.status)?,
            status_reason: row.status_reason,
            secret_generation: number("secret generation", row.secret_generation)?,
            previous_secret_until: row.previous_secret_until.map(Timestamp::from_milliseconds),
            created_at: Timestamp::from_milliseconds(row.created_at),
            updated_at: Timestamp::from_milliseconds(row.updated_at),
        })
    }
}

/// Tells every webhook of the owner that wants to know; part of the caller's transaction.
///
/// After [`audit::record`], where both are due: the chain's lock comes before those of webhooks.
pub(crate) async fn emit(
    connection: &impl ConnectionTrait,
    owner: OrganisationId,
    (event_type, data): (EventType, EventData),
    now: Timestamp,
) -> Result<(), Error> {
    let webhooks = webhook::Entity::find()
        .filter(webhook::Column::OwnerId.eq(owner.uuid()))
        .filter(webhook::Column::Status.eq(ENABLED))
        .all(connection)
        .await?;
    let mut wanting = Vec::new();
    for row in webhooks {
        let events: Vec<EventType> = from_json("event types", &row.events)?;
        if events.is_empty() || events.contains(&event_type) {
            wanting.push(row);
        }
    }
    if wanting.is_empty() {
        return Ok(());
    }
    let event = insert_event(connection, owner, (event_type, data), now).await?;
    for row in wanting {
        insert_delivery(connection, &row, event, now).await?;
    }
    Ok(())
}

async fn insert_event(
    connection: &impl ConnectionTrait,
    owner: OrganisationId,
    (event_type, data): (EventType, EventData),
    now: Timestamp,
) -> Result<EventId, Error> {
    let payload = WebhookPayload {
        event_type,
        timestamp: now,
        data,
    };
    let row = webhook_event::Model {
        id: new_uuid(now),
        owner_id: owner.uuid(),
        event_type: to_name("event type", &event_type)?,
        body: to_json("event", &payload)?,
        created_at: now.milliseconds(),
    };
    let id = EventId::from_uuid(row.id);
    insert(connection, row).await?;
    Ok(id)
}

async fn insert_delivery(
    connection: &impl ConnectionTrait,
    webhook: &webhook::Model,
    event: EventId,
    now: Timestamp,
) -> Result<uuid::Uuid, Error> {
    let row = webhook_delivery::Model {
        id: new_uuid(now),
        owner_id: webhook.owner_id,
        webhook_id: webhook.id,
        event_id: event.uuid(),
        status: PENDING.to_owned(),
        attempts: 0,
        next_attempt_at: Some(now.milliseconds()),
        claimed_until: None,
        token: 0,
        created_at: now.milliseconds(),
        completed_at: None,
    };
    let id = row.id;
    insert(connection, row).await?;
    Ok(id)
}

fn owned(owner: OrganisationId) -> sea_orm::Select<webhook::Entity> {
    webhook::Entity::find().filter(webhook::Column::OwnerId.eq(owner.uuid()))
}

/// A webhook of this owner, locked until the transaction ends.
async fn lock(
    connection: &impl ConnectionTrait,
    owner: OrganisationId,
    id: WebhookId,
) -> Result<Option<webhook::Model>, Error> {
    let query = owned(owner)
        .filter(webhook::Column::Id.eq(id.uuid()))
        .lock(LockType::NoKeyUpdate);
    Ok(query.one(connection).await?)
}

async fn save(connection: &impl ConnectionTrait, row: webhook::Model) -> Result<(), Error> {
    use sea_orm::ActiveModelTrait;
    webhook::Entity::update_many()
        .set(row.clone().into_active_model().reset_all())
        .filter(webhook::Column::Id.eq(row.id))
        .exec(connection)
        .await?;
    Ok(())
}

impl WebhookChange {
    fn apply(self, row: &mut webhook::Model, now: Timestamp) -> Result<(), Error> {
        if let Some(url) = self.url {
            row.url = url;
        }
        if let Some(description) = self.description {
            row.description = description;
        }
        if let Some(events) = self.events {
            row.events = to_json("event types", &events)?;
        }
        if let Some(status) = self.status {
            row.status = to_name("webhook status", &status)?;
            row.status_reason = match status {
                WebhookStatus::Enabled => None,
                WebhookStatus::Disabled => Some("Disabled by its owner.".to_owned()),
            };
            row.paused_until = None;
        }
        row.updated_at = now.milliseconds().max(row.updated_at + 1); // two changes in one millisecond differ
        Ok(())
    }
}

impl Store {
    /// Adds a webhook with its first secret; [`Error::TooManyWebhooks`] at the account's limit.
    pub async fn create_webhook(
        &self,
        owner: OrganisationId,
        new: NewWebhook,
        now: Timestamp,
    ) -> Result<WebhookRecord, Error> {
        let row = webhook::Model {
            id: new_uuid(now),
            owner_id: owner.uuid(),
            url: new.url,
            description: new.description,
            events: to_json("event types", &new.events)?,
            status: ENABLED.to_owned(),
            status_reason: None,
            secret_generation: 1,
            previous_secret_until: None,
            paused_until: None,
            created_at: now.milliseconds(),
            updated_at: now.milliseconds(),
        };
        let transaction = self.begin().await?;
        organisations::lock(&transaction, owner).await?;
        if owned(owner).count(&transaction).await? >= MAX_WEBHOOKS {
            transaction.rollback().await?;
            return Err(Error::TooManyWebhooks);
        }
        let deed = Deed::new("webhook.created", WebhookId::from_uuid(row.id));
        audit::record(&transaction, owner, deed, now).await?;
        insert(&transaction, row.clone()).await?;
        transaction.commit().await?;
        row.try_into()
    }

    /// The owner's webhooks, newest first, from below `after`.
    pub async fn list_webhooks(
        &self,
        owner: OrganisationId,
        after: Option<WebhookId>,
        limit: u64,
    ) -> Result<Vec<WebhookRecord>, Error> {
        let query = owned(owner);
        let rows = page(
            query,
            webhook::Column::Id,
            after.map(WebhookId::uuid),
            limit,
        )
        .all(&self.reader)
        .await?;
        rows.into_iter().map(WebhookRecord::try_from).collect()
    }

    /// Finds a webhook of this owner.
    pub async fn find_webhook(
        &self,
        owner: OrganisationId,
        id: WebhookId,
    ) -> Result<Option<WebhookRecord>, Error> {
        owned(owner)
            .filter(webhook::Column::Id.eq(id.uuid()))
            .one(&self.reader)
            .await?
            .map(WebhookRecord::try_from)
            .transpose()
    }

    /// Changes a webhook that is still as the caller saw it; [`Error::Changed`] where it is not.
    pub async fn update_webhook(
        &self,
        owner: OrganisationId,
        seen: &WebhookRecord,
        change: WebhookChange,
        now: Timestamp,
    ) -> Result<Option<WebhookRecord>, Error> {
        let transaction = self.begin().await?;
        audit::record(
            &transaction,
            owner,
            Deed::new("webhook.updated", seen.id),
            now,
        )
        .await?;
        let Some(mut row) = lock(&transaction, owner, seen.id).await? else {
            transaction.rollback().await?;
            return Ok(None);
        };
        if WebhookRecord::try_from(row.clone())? != *seen {
            transaction.rollback().await?;
            return Err(Error::Changed);
        }
        change.apply(&mut row, now)?;
        save(&transaction, row.clone()).await?;
        transaction.commit().await?;
        Ok(Some(row.try_into()?))
    }

    /// Gives a webhook its next secret; the one before signs too until then.
    pub async fn rotate_webhook_secret(
        &self,
        owner: OrganisationId,
        id: WebhookId,
        previous_until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<WebhookRecord>, Error> {
        let transaction = self.begin().await?;
        let deed = Deed::new("webhook.secret_rotated", id);
        audit::record(&transaction, owner, deed, now).await?;
        let Some(mut row) = lock(&transaction, owner, id).await? else {
            transaction.rollback().await?;
            return Ok(None);
        };
        row.secret_generation += 1;
        row.previous_secret_until = Some(previous_until.milliseconds());
        row.updated_at = now.milliseconds().max(row.updated_at + 1);
        save(&transaction, row.clone()).await?;
        transaction.commit().await?;
        Ok(Some(row.try_into()?))
    }

    /// Deletes a webhook with its deliveries; `false` where this owner has none, [`Error::Changed`] where it is not as
    /// the caller saw it.
    pub async fn delete_webhook(
        &self,
        owner: OrganisationId,
        seen: &WebhookRecord,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let id = seen.id;
        let transaction = self.begin().await?;
        audit::record(&transaction, owner, Deed::new("webhook.deleted", id), now).await?;
        let Some(row) = lock(&transaction, owner, id).await? else {
            transaction.rollback().await?;
            return Ok(false);
        };
        if WebhookRecord::try_from(row.clone())? != *seen {
            transaction.rollback().await?;
            return Err(Error::Changed);
        }
        row.delete(&transaction).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
