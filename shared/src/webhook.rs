//! Webhooks: an address that is told what happens, by Standard Webhooks 1.0.0.

use serde::{Deserialize, Serialize};

use crate::{
    DeliveryId, EventId, Timestamp, WebhookId,
    problem::{FieldError, check},
};

/// Most webhooks of one account.
pub const MAX_WEBHOOKS: u64 = 20;
/// Longest address, in characters.
pub const MAX_URL_CHARACTERS: usize = 2000;
/// Longest description, in characters.
pub const MAX_DESCRIPTION_CHARACTERS: usize = 200;

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EventType {
    /// A job ended well.
    #[serde(rename = "job.succeeded")]
    JobSucceeded,
    /// A job failed; its failure says why.
    #[serde(rename = "job.failed")]
    JobFailed,
    /// A job ended on request.
    #[serde(rename = "job.canceled")]
    JobCanceled,
    /// An evaluation was judged and its gallery is open.
    #[serde(rename = "gallery.ready")]
    GalleryReady,
    /// Somebody asks for a second person's consent to a release.
    #[serde(rename = "approval.requested")]
    ApprovalRequested,
    /// A second person decided.
    #[serde(rename = "approval.decided")]
    ApprovalDecided,
    /// Something was suspended after a notice.
    #[serde(rename = "notice.suspended")]
    NoticeSuspended,
    /// What was suspended is back.
    #[serde(rename = "notice.restored")]
    NoticeRestored,
    /// An archive of the account can be fetched.
    #[serde(rename = "export.ready")]
    ExportReady,
    /// A test, sent by hand.
    #[serde(rename = "webhook.test")]
    WebhookTest,
}

/// Adds a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema),
    schema(example = json!({"url": "https://hooks.example.org/persguard", "events": ["job.succeeded", "job.failed"]})))]
#[serde(deny_unknown_fields)]
pub struct CreateWebhook {
    /// Where events go: `https`, without user name, password or fragment.
    pub url: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Which events; none named: all.
    #[serde(default)]
    pub events: Vec<EventType>,
}

impl CreateWebhook {
    /// Every reason why this webhook cannot be added; whether the address may be called is the server's to say.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        validate_url(&self.url, &mut errors);
        validate_description(&self.description, &mut errors);
        errors
    }
}

fn validate_url(url: &str, errors: &mut Vec<FieldError>) {
    let length = (1..=MAX_URL_CHARACTERS).contains(&url.chars().count());
    check(errors, length, "#/url", "invalid_length", || {
        format!("Use 1 to {MAX_URL_CHARACTERS} characters.")
    });
}

fn validate_description(text: &str, errors: &mut Vec<FieldError>) {
    let length = text.chars().count() <= MAX_DESCRIPTION_CHARACTERS;
    check(errors, length, "#/description", "invalid_length", || {
        format!("Use at most {MAX_DESCRIPTION_CHARACTERS} characters.")
    });
}

/// Changes a webhook (JSON merge patch): what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(example = json!({"status": "enabled"})))]
#[serde(deny_unknown_fields)]
pub struct UpdateWebhook {
    /// Where events go.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::patching::present"
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = String, required = false))]
    pub url: Option<String>,
    /// What it is for.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::patching::present"
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = String, required = false))]
    pub description: Option<String>,
    /// Which events.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::patching::present"
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<EventType>, required = false))]
    pub events: Option<Vec<EventType>>,
    /// Whether it is told anything.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::patching::present"
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = WebhookStatus, required = false))]
    pub status: Option<WebhookStatus>,
}

impl UpdateWebhook {
    /// Every reason why this change cannot be made.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if let Some(url) = &self.url {
            validate_url(url, &mut errors);
        }
        validate_description(self.description.as_deref().unwrap_or_default(), &mut errors);
        errors
    }
}

/// Whether a webhook is told anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum WebhookStatus {
    /// Events are sent.
    Enabled,
    /// Nothing is sent: by its owner's wish, or because it failed too often.
    Disabled,
}

/// A webhook as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Webhook {
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
    /// Why it is disabled, if it is.
    pub status_reason: Option<String>,
    /// Until when the secret before signs too, after a rotation.
    pub previous_secret_until: Option<Timestamp>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// A secret, shown once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookWithSecret {
    /// The webhook.
    pub webhook: Webhook,
    /// `whsec_` and base64: verifies the header `webhook-signature`. It is not shown again.
    pub secret: String,
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// An attempt follows.
    Pending,
    /// The receiver answered 2xx.
    Succeeded,
    /// No attempt follows.
    Failed,
}

/// One attempt to deliver an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeliveryAttempt {
    /// From 1.
    pub number: u32,
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub milliseconds: u32,
    /// What the receiver answered, if it did.
    pub response_status: Option<u16>,
    /// Why it did not count, if it did not.
    pub error: Option<String>,
}

/// One event on its way to one webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Delivery {
    /// Identifies the delivery.
    pub id: DeliveryId,
    /// Where it goes.
    pub webhook_id: WebhookId,
    /// The event: the header `webhook-id`, the same in every attempt and replay.
    pub event_id: EventId,
    /// What happened.
    pub event_type: EventType,
    /// The body as it is sent.
    pub body: String,
    /// How it stands.
    pub status: DeliveryStatus,
    /// Attempts so far.
    pub attempts: Vec<DeliveryAttempt>,
    /// When the next attempt is due.
    pub next_attempt_at: Option<Timestamp>,
    /// When the event happened.
    pub created_at: Timestamp,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
}

/// The body that a receiver gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema),
    schema(example = json!({"type": "job.succeeded", "timestamp": "2026-11-26T10:00:00Z",
        "data": {"id": "job_0198c0de0198c0de0198c0de0198c0de", "url": "/v1/jobs/job_0198c0de0198c0de0198c0de0198c0de"}})))]
pub struct WebhookPayload {
    /// What happened.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// When.
    pub timestamp: Timestamp,
    /// The object's id and where to look at it: little, so that nothing secret travels.
    pub data: EventData,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventData {
    /// The object's id.
    pub id: String,
    /// Where to look at it, below the server's address.
    pub url: String,
}
