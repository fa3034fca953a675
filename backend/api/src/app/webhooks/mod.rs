//! Webhooks as their owner manages them, by Standard Webhooks 1.0.0.
//!
//! `addresses` says what may be called, `secrets` signs, `schedule` says when to try again, `sender` does it.

use shared::{
    DeliveryId, OrganisationId, Timestamp, WebhookId,
    page::Page,
    webhook::{CreateWebhook, Delivery, UpdateWebhook, Webhook, WebhookWithSecret},
};
use store::{NewWebhook, WebhookChange, WebhookRecord};

use super::{App, paging::Paging};
use crate::error::Error;

pub mod addresses;
pub mod schedule;
pub mod secrets;
pub mod sender;

/// How long the secret before a rotation signs too: one day.
const OVERLAP_MILLISECONDS: i64 = 24 * 3_600_000;
/// How long deliveries are kept: 30 days.
const KEPT_MILLISECONDS: i64 = 30 * 24 * 3_600_000;

fn view(record: WebhookRecord) -> Webhook {
    Webhook {
        id: record.id,
        url: record.url,
        description: record.description,
        events: record.events,
        status: record.status,
        status_reason: record.status_reason,
        previous_secret_until: record.previous_secret_until,
        created_at: record.created_at,
        updated_at: record.updated_at,
    }
}

fn with_secret(app: &App, record: WebhookRecord) -> WebhookWithSecret {
    let secret = app.webhook_secrets();
    WebhookWithSecret {
        secret: secret.secret(record.id, record.secret_generation),
        webhook: view(record),
    }
}

/// Adds a webhook; its secret is in this answer alone.
pub async fn create(
    app: &App,
    owner: OrganisationId,
    request: CreateWebhook,
) -> Result<WebhookWithSecret, Error> {
    Error::unless_valid(request.validate())?;
    addresses::check(&request.url, app.config().webhook_loopback)
        .map_err(|refusal| Error::field("#/url", "address_refused", refusal.to_string()))?;
    let new = NewWebhook {
        url: request.url,
        description: request.description,
        events: request.events,
    };
    let record = app.store().create_webhook(owner, new, app.now()).await?;
    Ok(with_secret(app, record))
}

/// The owner's webhooks, newest first.
pub async fn list(
    app: &App,
    owner: OrganisationId,
    paging: &Paging,
) -> Result<Page<Webhook>, Error> {
    let records = app
        .store()
        .list_webhooks(owner, paging.after()?, paging.rows())
        .await?;
    let webhooks = records.into_iter().map(view).collect();
    Ok(paging.page(webhooks, |webhook| webhook.id))
}

async fn record(app: &App, owner: OrganisationId, id: WebhookId) -> Result<WebhookRecord, Error> {
    let found = app.store().find_webhook(owner, id).await?;
    found.ok_or(Error::NotFound)
}

/// A webhook of this owner.
pub async fn find(app: &App, owner: OrganisationId, id: WebhookId) -> Result<Webhook, Error> {
    record(app, owner, id).await.map(view)
}

/// Changes a webhook, if `check` accepts it as it stands.
pub async fn update(
    app: &App,
    owner: OrganisationId,
    id: WebhookId,
    check: impl FnOnce(&Webhook) -> Result<(), Error>,
    request: UpdateWebhook,
) -> Result<Webhook, Error> {
    Error::unless_valid(request.validate())?;
    if let Some(url) = &request.url {
        addresses::check(url, app.config().webhook_loopback)
            .map_err(|refusal| Error::field("#/url", "address_refused", refusal.to_string()))?;
    }
    let seen = record(app, owner, id).await?;
    check(&view(seen.clone()))?;
    let change = WebhookChange {
        url: request.url,
        description: request.description,
        events: request.events,
        status: request.status,
    };
    let changed = app
        .store()
        .update_webhook(owner, &seen, change, app.now())
        .await?;
    changed.map(view).ok_or(Error::NotFound)
}

/// Deletes a webhook with its delivery log, if `check` accepts it as it stands.
pub async fn delete(
    app: &App,
    owner: OrganisationId,
    id: WebhookId,
    check: impl FnOnce(&Webhook) -> Result<(), Error>,
) -> Result<(), Error> {
    let seen = record(app, owner, id).await?;
    check(&view(seen.clone()))?;
    let deleted = app.store().delete_webhook(owner, &seen, app.now()).await?;
    deleted.then_some(()).ok_or(Error::NotFound)
}

/// Gives a webhook a new secret; for a day the old one signs too.
pub async fn rotate(
    app: &App,
    owner: OrganisationId,
    id: WebhookId,
) -> Result<WebhookWithSecret, Error> {
    let now = app.now();
    let until = Timestamp::from_milliseconds(now.milliseconds() + OVERLAP_MILLISECONDS);
    let rotated = app
        .store()
        .rotate_webhook_secret(owner, id, until, now)
        .await?
        .ok_or(Error::NotFound)?;
    Ok(with_secret(app, rotated))
}

/// Sends a test event.
pub async fn test(app: &App, owner: OrganisationId, id: WebhookId) -> Result<Delivery, Error> {
    let sent = app.store().test_webhook(owner, id, app.now()).await?;
    sent.ok_or(Error::NotFound)
}

/// Deliveries to a webhook, newest first.
pub async fn deliveries(
    app: &App,
    owner: OrganisationId,
    id: WebhookId,
    paging: &Paging,
) -> Result<Page<Delivery>, Error> {
    record(app, owner, id).await?;
    let found = app
        .store()
        .list_deliveries(owner, id, paging.after()?, paging.rows())
        .await?;
    Ok(paging.page(found, |delivery| delivery.id))
}

/// One delivery with its attempts.
pub async fn delivery(
    app: &App,
    owner: OrganisationId,
    (id, delivery): (WebhookId, DeliveryId),
) -> Result<Delivery, Error> {
    let found = app.store().find_delivery(owner, id, delivery).await?;
    found.ok_or(Error::NotFound)
}

/// Sends an event again, under the same `webhook-id`.
pub async fn replay(
    app: &App,
    owner: OrganisationId,
    ids: (WebhookId, DeliveryId),
) -> Result<Delivery, Error> {
    let earlier = delivery(app, owner, ids).await?;
    let sent = app.store().replay_delivery(owner, &earlier, app.now());
    sent.await?.ok_or(Error::NotFound)
}

/// Forgets old deliveries.
pub(crate) async fn sweep(app: &App) -> Result<(), Error> {
    let before = Timestamp::from_milliseconds(app.now().milliseconds() - KEPT_MILLISECONDS);
    app.store().delete_webhook_events(before).await?;
    Ok(())
}
