//! Webhooks: who is told what happens, and how that went.

use axum::{
    Json as Body,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use shared::{
    DeliveryId, WebhookId,
    page::Page,
    webhook::{CreateWebhook, Delivery, UpdateWebhook, Webhook, WebhookWithSecret},
};

use super::location;
use crate::{
    app::{App, paging::Paging, webhooks},
    error::Error,
    etag::IfMatch,
    extract::{Id, Ids, Json, Listing, MergePatch, Tenant, VersionHeader},
};

fn secret(status: StatusCode, body: WebhookWithSecret) -> impl IntoResponse {
    let place = location(format!("/v1/webhooks/{}", body.webhook.id));
    let private = [(header::CACHE_CONTROL, "no-store")];
    (status, place, private, Body(body))
}

/// Adds a webhook; the secret that verifies its signatures is shown this once.
#[utoipa::path(post, path = "/v1/webhooks", tag = "webhooks", request_body = CreateWebhook,
    responses((status = 201, body = WebhookWithSecret)))]
pub(crate) async fn create_webhook(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Json(request): Json<CreateWebhook>,
) -> Result<impl IntoResponse, Error> {
    let created = webhooks::create(&app, owner, request).await?;
    Ok(secret(StatusCode::CREATED, created))
}

/// The caller's webhooks, newest first.
#[utoipa::path(get, path = "/v1/webhooks", tag = "webhooks", params(Paging),
    responses((status = 200, body = Page<Webhook>)))]
pub(crate) async fn list_webhooks(
    State(app): State<App>,
    Tenant(owner): Tenant,
    paging: Paging,
) -> Result<Listing<Webhook>, Error> {
    webhooks::list(&app, owner, &paging).await.map(Listing)
}

/// One webhook, with the `ETag` that changes need.
#[utoipa::path(get, path = "/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = WebhookId, Path)), responses((status = 200, body = Webhook)))]
pub(crate) async fn find_webhook(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<WebhookId>,
) -> Result<impl IntoResponse, Error> {
    webhooks::find(&app, owner, id).await.map(Body)
}

/// Changes a webhook (JSON merge patch); `If-Match` says which version was seen.
#[utoipa::path(patch, path = "/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = WebhookId, Path), VersionHeader),
    request_body(content = UpdateWebhook, content_type = "application/merge-patch+json"),
    responses((status = 200, body = Webhook)))]
pub(crate) async fn update_webhook(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<WebhookId>,
    seen: IfMatch,
    MergePatch(request): MergePatch<UpdateWebhook>,
) -> Result<impl IntoResponse, Error> {
    let check = |present: &Webhook| seen.check(present);
    webhooks::update(&app, owner, id, check, request)
        .await
        .map(Body)
}

/// Deletes a webhook and its delivery log.
#[utoipa::path(delete, path = "/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = WebhookId, Path), VersionHeader),
    responses((status = 204)))]
pub(crate) async fn delete_webhook(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<WebhookId>,
    seen: IfMatch,
) -> Result<StatusCode, Error> {
    webhooks::delete(&app, owner, id, |present| seen.check(present)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a new secret, shown this once; for a day the old one signs too.
#[utoipa::path(post, path = "/v1/webhooks/{id}/secret", tag = "webhooks",
    params(("id" = WebhookId, Path)), responses((status = 201, body = WebhookWithSecret)))]
pub(crate) async fn rotate_webhook_secret(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<WebhookId>,
) -> Result<impl IntoResponse, Error> {
    let rotated = webhooks::rotate(&app, owner, id).await?;
    Ok(secret(StatusCode::CREATED, rotated))
}

fn accepted(delivery: Delivery) -> impl IntoResponse {
    let (webhook, id) = (delivery.webhook_id, delivery.id);
    let place = location(format!("/v1/webhooks/{webhook}/deliveries/{id}"));
    (StatusCode::ACCEPTED, place, Body(delivery))
}

/// Sends a test event.
#[utoipa::path(post, path = "/v1/webhooks/{id}/test", tag = "webhooks",
    params(("id" = WebhookId, Path)), responses((status = 202, body = Delivery)))]
pub(crate) async fn test_webhook(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<WebhookId>,
) -> Result<impl IntoResponse, Error> {
    webhooks::test(&app, owner, id).await.map(accepted)
}

/// What was sent to a webhook, newest first, with every attempt; kept for 30 days.
#[utoipa::path(get, path = "/v1/webhooks/{id}/deliveries", tag = "webhooks",
    params(("id" = WebhookId, Path), Paging), responses((status = 200, body = Page<Delivery>)))]
pub(crate) async fn list_deliveries(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<WebhookId>,
    paging: Paging,
) -> Result<Listing<Delivery>, Error> {
    let page = webhooks::deliveries(&app, owner, id, &paging).await?;
    Ok(Listing(page))
}

/// One delivery with its attempts.
#[utoipa::path(get, path = "/v1/webhooks/{id}/deliveries/{delivery_id}", tag = "webhooks",
    params(("id" = WebhookId, Path), ("delivery_id" = DeliveryId, Path)),
    responses((status = 200, body = Delivery)))]
pub(crate) async fn find_delivery(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Ids(id, delivery): Ids<WebhookId, DeliveryId>,
) -> Result<Body<Delivery>, Error> {
    let found = webhooks::delivery(&app, owner, (id, delivery)).await?;
    Ok(Body(found))
}

/// Sends an event again, under the same `webhook-id`.
#[utoipa::path(post, path = "/v1/webhooks/{id}/deliveries/{delivery_id}/replay", tag = "webhooks",
    params(("id" = WebhookId, Path), ("delivery_id" = DeliveryId, Path)),
    responses((status = 202, body = Delivery)))]
pub(crate) async fn replay_delivery(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Ids(id, delivery): Ids<WebhookId, DeliveryId>,
) -> Result<impl IntoResponse, Error> {
    let sent = webhooks::replay(&app, owner, (id, delivery)).await?;
    Ok(accepted(sent))
}
