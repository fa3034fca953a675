//! Exports of the audit log.

use std::sync::LazyLock;

use api::{app::audit::verify_export, signing::Signer};
use shared::{
    AuditEventId, OrganisationId, Timestamp, UserId,
    audit::{AuditActor, AuditEntry, AuditEvent, AuditHead, AuditObject, NO_HASH, SignedAuditHead},
};

use crate::Target;

pub(super) const TARGETS: &[Target] = &[Target::new("audit_export", audit_export, || {
    let empty = EXPORT.lines().last().expect("an end").to_owned() + "\n";
    vec![EXPORT.clone().into_bytes(), empty.into_bytes()]
})
.longest(4096)
.words(&[
    "\n",
    "\r\n",
    "\"sequence\":2",
    "\"previous_hash\":\"",
    "\"detail\":null",
    "{\"entry\":{",
    "{\"head\":{",
    "\\u0041",
])];

const NOW: Timestamp = Timestamp::from_milliseconds(1_800_000_000_000);

fn signer() -> Signer {
    Signer::from_seed(&[7; 32])
}

static KEYS: LazyLock<Vec<u8>> =
    LazyLock::new(|| serde_json::to_vec(&signer().keys()).expect("keys are JSON"));

static EXPORT: LazyLock<String> = LazyLock::new(|| {
    let mut previous_hash = NO_HASH.to_owned();
    let mut text = String::new();
    for sequence in 1..=2 {
        let entry = AuditEntry {
            action: "protected_set.sealed".into(),
            actor: AuditActor::User {
                user_id: UserId::nil(),
            },
            address: Some("198.51.100.7".into()),
            at: NOW,
            detail: None,
            id: AuditEventId::nil(),
            log: OrganisationId::nil(),
            object: Some(AuditObject {
                id: "set_1".into(),
                kind: "protected_set".into(),
            }),
            sequence,
        };
        let hash = store::chain_hash(&previous_hash, &json(&entry));
        let event = AuditEvent {
            entry,
            hash: hash.clone(),
            previous_hash: std::mem::replace(&mut previous_hash, hash),
        };
        text += &(json(&event) + "\n");
    }
    let head = AuditHead {
        at: NOW,
        hash: previous_hash,
        log: OrganisationId::nil(),
        sequence: 2,
    };
    let signed = SignedAuditHead {
        key_id: signer().key_id().into(),
        signature: signer().sign_text("persguard audit head\n", &json(&head)),
        head,
    };
    text + &json(&signed) + "\n"
});

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("it is JSON")
}

/// With the keys, only the export that was signed is believed; without, only one whose every line is in its place.
fn audit_export(bytes: &[u8]) {
    let believed = verify_export(bytes, Some(&KEYS)).is_ok();
    assert_eq!(believed, bytes == EXPORT.as_bytes());
    if let Ok(read) = verify_export(bytes, None) {
        // The last line ends, too, and nothing follows it.
        let pieces = bytes.split(|byte| *byte == b'\n').count();
        assert_eq!(read.entries + 2, pieces as u64);
    }
}
