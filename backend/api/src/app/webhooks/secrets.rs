//! Secrets of webhooks and their signatures.
//!
//! A secret is derived from one key file, the webhook's id and the secret's number: the database holds none, and a
//! copy of it forges nothing.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use shared::{EventId, Timestamp, WebhookId};
use standardwebhooks::{Webhook, WebhookError};
use store::WebhookRecord;

/// Derives secrets.
pub struct Secrets {
    key: [u8; 32],
}

impl Secrets {
    /// Takes the key.
    pub const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The secret with this number: `whsec_` and 32 bytes in base64.
    pub fn secret(&self, webhook: WebhookId, generation: u32) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(format!("persguard webhook\n{webhook}\n{generation}").as_bytes());
        format!("whsec_{}", STANDARD.encode(mac.finalize().into_bytes()))
    }

    /// The header `webhook-signature`: by the present secret, and after a rotation by the one before too.
    pub fn sign(
        &self,
        webhook: &WebhookRecord,
        event: EventId,
        body: &str,
        now: Timestamp,
    ) -> Result<String, WebhookError> {
        let present = webhook.secret_generation;
        let overlaps = webhook.previous_secret_until.is_some_and(|end| now < end) && present > 1;
        let generations = (present - u32::from(overlaps)..=present).rev();
        let seconds = now.milliseconds() / 1000;
        let signatures = generations.map(|generation| {
            let signer = Webhook::new(&self.secret(webhook.id, generation))?;
            signer.sign(&event.to_string(), seconds, body.as_bytes())
        });
        Ok(signatures.collect::<Result<Vec<_>, _>>()?.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use shared::webhook::WebhookStatus;
    use uuid::Uuid;

    use super::*;

    fn webhook(generation: u32, until: Option<i64>) -> WebhookRecord {
        WebhookRecord {
            id: WebhookId::from_uuid(Uuid::from_u128(7)),
            url: String::new(),
            description: String::new(),
            events: Vec::new(),
            status: WebhookStatus::Enabled,
            status_reason: None,
            secret_generation: generation,
            previous_secret_until: until.map(Timestamp::from_milliseconds),
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
        }
    }

    #[test]
    fn secrets_differ_by_webhook_number_and_key() {
        let id = |number| WebhookId::from_uuid(Uuid::from_u128(number));
        let secrets = Secrets::new([1; 32]);
        let all = [
            secrets.secret(id(1), 1),
            secrets.secret(id(1), 2),
            secrets.secret(id(2), 1),
            Secrets::new([2; 32]).secret(id(1), 1),
        ];
        for (at, secret) in all.iter().enumerate() {
            let bytes = STANDARD.decode(secret.strip_prefix("whsec_").unwrap());
            assert_eq!(bytes.unwrap().len(), 32);
            assert!(!all[..at].contains(secret));
        }
        assert_eq!(all[0], Secrets::new([1; 32]).secret(id(1), 1));
    }

    #[test]
    fn rotation_signs_with_both_until_its_end() {
        let secrets = Secrets::new([1; 32]);
        let event = EventId::from_uuid(Uuid::from_u128(9));
        let count = |generation, until, now| {
            let now = Timestamp::from_milliseconds(now);
            let signed = secrets.sign(&webhook(generation, until), event, "{}", now);
            signed.unwrap().split(' ').count()
        };
        assert_eq!(count(1, None, 0), 1);
        assert_eq!(count(2, Some(5000), 4999), 2);
        assert_eq!(count(2, Some(5000), 5000), 1);
        assert_eq!(count(1, Some(5000), 0), 1);
    }
}
