//! Signed statements: certificates and revocations, and the lists of keys that they are checked against.

use std::sync::LazyLock;

use api::signing::{self, Signer};
use serde_json::{Value, json};
use shared::{
    JobId, Timestamp,
    certificate::{self, Certificate},
    revocation::{Revocation, SigningKeys},
    signed::{self, Refusal, Verified},
};

use crate::{Target, target::choice};

pub(super) const TARGETS: &[Target] = &[
    Target::new("certificate", certificate, || {
        let Signed { file, keys, .. } = &*CERTIFICATE;
        [(b'A', file), (b'B', file), (b'C', keys)]
            .map(|(first, rest)| chosen(first, rest))
            .into()
    })
    .longest(8192)
    .words(WORDS),
    Target::new("certificate_content", content, || vec![content_seed()])
        .longest(32 << 10)
        .words(&[
            "\"held_out\"",
            "\"cells\"",
            "\"not_tested\"",
            "\"counts\"",
            "\"subject\":",
            "4294967295",
        ]),
    Target::new("revocation", revocation, || {
        let Signed { file, keys, .. } = &*REVOCATION;
        [(b'A', file), (b'B', keys)]
            .map(|(first, rest)| chosen(first, rest))
            .into()
    })
    .longest(4096)
    .words(WORDS),
];

const WORDS: &[&str] = &[
    "\"digests\":{",
    "\"document\":",
    "\"signature\":\"",
    "\"signer\":",
    "\"version\":1",
    "\"key_id\":\"",
    "\"public_key\":\"",
    "\"algorithm\":\"ed25519\"",
    "/signer/key_id",
    "~1",
    "\\u0000",
    "1.0",
    "null",
    "=",
];

/// The one file that was ever signed with a key, and the list that holds that key.
struct Signed {
    file: Vec<u8>,
    keys: Vec<u8>,
    public: String,
}

fn chosen(first: u8, rest: &[u8]) -> Vec<u8> {
    [&[first], rest].concat()
}

static CERTIFICATE: LazyLock<Signed> = LazyLock::new(|| {
    let signer = Signer::from_seed(&[7; 32]);
    let key = signer.statement_key();
    let document = json!({
        "version": certificate::VERSION, "signer": key.public(), "scope": ["a", "b"],
        "report": {"cells": [{"rate": 0.0001, "step": 50}], "counts": {}},
    });
    Signed {
        file: key
            .sign(certificate::KIND, &document)
            .expect("it has a canonical form"),
        keys: keys(&signer),
        public: key.public().public_key,
    }
});

static REVOCATION: LazyLock<Signed> = LazyLock::new(|| {
    let signer = Signer::from_seed(&[7; 32]);
    let document = Revocation {
        version: signing::VERSION,
        class_name: "dog".into(),
        identifier: "sks".into(),
        objective: "target".into(),
        manifest_sha256: "m".repeat(64),
        base_sha256: "b".repeat(64),
        earlier_unet_sha256: "e".repeat(64),
        unet_sha256: "u".repeat(64),
        earlier_job_id: JobId::nil(),
        job_id: JobId::nil(),
        revoked_at: Timestamp::from_milliseconds(1_800_000_000_000),
        key_id: signer.key_id().into(),
    };
    Signed {
        file: signer.sign(document).expect("it has a canonical form"),
        keys: keys(&signer),
        public: signer.statement_key().public().public_key,
    }
});

fn keys(signer: &Signer) -> Vec<u8> {
    serde_json::to_vec(&signer.keys()).expect("keys are JSON")
}

/// The demo's own content with a few of its cells.
fn content_seed() -> Vec<u8> {
    let file = demo::evaluation().certificate;
    let mut content: Value = serde_json::from_slice(file).expect("it ships with the product");
    let mut content = content["document"].take();
    let report = &mut content["report"];
    for (list, kept) in [
        ("cells", 2),
        ("atlas", 1),
        ("families", 1),
        ("breaking_points", 1),
    ] {
        report[list].as_array_mut().expect("a list").truncate(kept);
    }
    content.to_string().into_bytes()
}

/// Whatever is not the signed file is refused, whoever's keys are asked; and so are keys without the one that signed.
fn certificate(bytes: &[u8]) {
    let Signed { file, keys, public } = &*CERTIFICATE;
    let verify = |file: &[u8], keys: Option<&[u8]>| -> Result<Verified<Value>, Refusal> {
        let read = signed::verify(certificate::KIND, file, keys);
        if let Err(refusal) = &read {
            assert!(refusal.to_string().len() < 2048, "a long refusal");
        }
        read
    };
    match choice(bytes) {
        Some((0, rest)) => assert_eq!(verify(rest, Some(keys)).is_ok(), rest == file),
        Some((1, rest)) => assert_eq!(verify(rest, None).is_ok(), rest == file),
        Some((2, rest)) if verify(file, Some(rest)).is_ok() => lists(rest, public),
        _ => {}
    }
}

fn lists(keys: &[u8], public: &str) {
    let keys: SigningKeys = serde_json::from_slice(keys).expect("a list that was read");
    assert!(keys.keys.iter().any(|key| key.public_key == public));
}

fn revocation(bytes: &[u8]) {
    let Signed { file, keys, public } = &*REVOCATION;
    match choice(bytes) {
        Some((0, rest)) => assert_eq!(signing::verify(rest, keys).is_ok(), rest == file),
        Some((1, rest)) if signing::verify(file, rest).is_ok() => lists(rest, public),
        _ => {}
    }
}

/// A certificate's content can be judged, however it contradicts itself.
fn content(bytes: &[u8]) {
    let Ok(certificate) = serde_json::from_slice::<Certificate>(bytes) else {
        return;
    };
    let found = certificate.contradictions();
    assert!(
        found.iter().all(|sentence| sentence.starts_with('/')),
        "{found:?}"
    );
    let text = serde_json::to_vec(&certificate).expect("a certificate is JSON");
    let again: Certificate = serde_json::from_slice(&text).expect("what was written is read");
    assert_eq!(again.contradictions().len(), found.len());
}
