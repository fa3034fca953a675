//! Statements that outlive this server: canonical JSON, a hash for each field, one Ed25519 signature over the hashes.
//!
//! Refuses any other form of the same content, so that a changed byte anywhere is noticed, and says which field it was
//! in where the signature still covers the hashes.

use std::{collections::BTreeMap, io, path::Path};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::Serialize;
use serde_json::Value;
use shared::{
    revocation::{self, Revocation, SignedRevocation, SigningKeys},
    signed::StatementKey,
};

use crate::secret;

/// Version of the form that is written here.
pub const VERSION: u32 = 1;
/// Goes before what is signed: this key's signatures mean nothing else.
const PURPOSE: &str = "persguard revocation\n";
const ALGORITHM: &str = "ed25519";

/// Why a statement is not believed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no such statement.
    #[error("This is no revocation: {0}.")]
    Unreadable(String),
    /// The file with the keys is none.
    #[error("This is no list of signing keys: {0}.")]
    BadKeys(String),
    /// No key made the signature over these hashes.
    #[error(
        "The signature does not fit: none of these keys made it, or the hashes or the signature were changed."
    )]
    Signature,
    /// A field is not what was signed.
    #[error("The field `{0}` was changed after it was signed.")]
    Changed(String),
    /// The content is right, its bytes are not those that were published.
    #[error("The file was rewritten after it was signed: its layout is not the published one.")]
    Rewritten,
    /// A later version wrote it.
    #[error("The form has version {0}, which this program does not know.")]
    Version(u32),
}

/// Signs statements.
pub struct Signer {
    key: SigningKey,
    key_id: String,
}

impl Signer {
    /// Loads the key, or makes one.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::from_seed(&secret::load_or_create(path)?))
    }

    /// Takes the 32 bytes of an Ed25519 private key.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let key_id = id(&key.verifying_key());
        Self { key, key_id }
    }

    /// What statements call the key.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The same key for statements of other kinds, which are told apart by their purpose.
    pub fn statement_key(&self) -> StatementKey {
        StatementKey::from_seed(self.key.as_bytes())
    }

    /// The public half.
    pub fn keys(&self) -> SigningKeys {
        SigningKeys {
            keys: vec![revocation::SigningKey {
                key_id: self.key_id.clone(),
                algorithm: ALGORITHM.into(),
                public_key: URL_SAFE_NO_PAD.encode(self.key.verifying_key().to_bytes()),
            }],
        }
    }

    /// The file of a statement.
    pub fn sign(&self, document: Revocation) -> serde_json::Result<Vec<u8>> {
        let digests = digests(&document)?;
        let signature = self.key.sign(&message(&digests)?);
        let signed = SignedRevocation {
            signature: URL_SAFE_NO_PAD.encode(signature.to_bytes()),
            digests,
            document,
        };
        Ok(canonical(&signed)?.into_bytes())
    }
}

impl Signer {
    /// A signature over a text; `purpose` is a line that tells what this signature means.
    pub fn sign_text(&self, purpose: &str, text: &str) -> String {
        let signature = self
            .key
            .sign(&[purpose.as_bytes(), text.as_bytes()].concat());
        URL_SAFE_NO_PAD.encode(signature.to_bytes())
    }
}

/// The id of the key that signed a text for this purpose; refused where none of the keys did.
pub fn verify_text(
    purpose: &str,
    text: &str,
    signature: &str,
    keys: &[u8],
) -> Result<String, Refusal> {
    let keys: SigningKeys =
        serde_json::from_slice(keys).map_err(|error| Refusal::BadKeys(error.to_string()))?;
    let bytes = URL_SAFE_NO_PAD.decode(signature);
    let bytes = bytes.map_err(|_| Refusal::Signature)?;
    let signature = Signature::from_slice(&bytes).map_err(|_| Refusal::Signature)?;
    let message = [purpose.as_bytes(), text.as_bytes()].concat();
    for key in &keys.keys {
        let key = public(key)?;
        if key.verify_strict(&message, &signature).is_ok() {
            return Ok(id(&key));
        }
    }
    Err(Refusal::Signature)
}

/// The first bytes of the public key's hash.
fn id(key: &VerifyingKey) -> String {
    secret::sha256_hex(key.as_bytes())[..16].to_owned()
}

/// What was stated, if one of the keys signed all of it and nothing was changed since.
pub fn verify(file: &[u8], keys: &[u8]) -> Result<Revocation, Refusal> {
    let unreadable = |error: serde_json::Error| Refusal::Unreadable(error.to_string());
    let signed: SignedRevocation = serde_json::from_slice(file).map_err(unreadable)?;
    let keys: SigningKeys =
        serde_json::from_slice(keys).map_err(|error| Refusal::BadKeys(error.to_string()))?;
    let key = signer(&signed, &keys)?;
    let found = digests(&signed.document).map_err(unreadable)?;
    compare(&signed.digests, &found)?;
    if signed.document.key_id != key {
        return Err(Refusal::Changed("key_id".into()));
    }
    if canonical(&signed).map_err(unreadable)?.as_bytes() != file {
        return Err(Refusal::Rewritten);
    }
    if signed.document.version != VERSION {
        return Err(Refusal::Version(signed.document.version));
    }
    Ok(signed.document)
}

/// The id of the key that made the signature.
fn signer(signed: &SignedRevocation, keys: &SigningKeys) -> Result<String, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(&signed.signature);
    let bytes = bytes.map_err(|_| Refusal::Signature)?;
    let signature = Signature::from_slice(&bytes).map_err(|_| Refusal::Signature)?;
    let message = message(&signed.digests).map_err(|_| Refusal::Signature)?;
    for key in &keys.keys {
        let key = public(key)?;
        if key.verify_strict(&message, &signature).is_ok() {
            return Ok(id(&key));
        }
    }
    Err(Refusal::Signature)
}

fn public(key: &revocation::SigningKey) -> Result<VerifyingKey, Refusal> {
    let bad = |what: &str| Refusal::BadKeys(format!("`{}` {what}", key.key_id));
    if key.algorithm != ALGORITHM {
        return Err(bad("is of another algorithm"));
    }
    let bytes = URL_SAFE_NO_PAD.decode(&key.public_key).ok();
    let bytes: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
    let bytes = bytes.ok_or_else(|| bad("has no 32 bytes in base64url"))?;
    VerifyingKey::from_bytes(&bytes).map_err(|_| bad("is no point of the curve"))
}

/// Names the first field that differs.
fn compare(
    signed: &BTreeMap<String, String>,
    found: &BTreeMap<String, String>,
) -> Result<(), Refusal> {
    let names = signed.keys().chain(found.keys());
    let mut changed = names.filter(|name| signed.get(*name) != found.get(*name));
    changed
        .next()
        .map_or(Ok(()), |name| Err(Refusal::Changed(name.clone())))
}

fn message(digests: &BTreeMap<String, String>) -> serde_json::Result<Vec<u8>> {
    Ok(format!("{PURPOSE}{}", canonical(digests)?).into_bytes())
}

/// The hash of each field.
fn digests(document: &Revocation) -> serde_json::Result<BTreeMap<String, String>> {
    let fields: BTreeMap<String, Value> = serde_json::from_value(serde_json::to_value(document)?)?;
    fields
        .into_iter()
        .map(|(name, value)| {
            let digest = secret::sha256_hex(canonical(&value)?.as_bytes());
            Ok((name, digest))
        })
        .collect()
}

/// JSON with sorted keys and no white space.
fn canonical(value: &impl Serialize) -> serde_json::Result<String> {
    let mut text = String::new();
    write(&serde_json::to_value(value)?, &mut text);
    Ok(text)
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            let members = sorted
                .into_iter()
                .map(|(name, member)| (Some(name), member));
            write_all(['{', '}'], members, text);
        }
        Value::Array(items) => write_all(['[', ']'], items.iter().map(|item| (None, item)), text),
        scalar => text.push_str(&scalar.to_string()),
    }
}

fn write_all<'a>(
    [open, close]: [char; 2],
    items: impl Iterator<Item = (Option<&'a String>, &'a Value)>,
    text: &mut String,
) {
    text.push(open);
    for (index, (name, item)) in items.enumerate() {
        if index > 0 {
            text.push(',');
        }
        if let Some(name) = name {
            text.push_str(&Value::from(name.as_str()).to_string());
            text.push(':');
        }
        write(item, text);
    }
    text.push(close);
}

#[cfg(test)]
mod tests {
    use shared::{JobId, Timestamp};

    use super::*;

    fn document(signer: &Signer) -> Revocation {
        Revocation {
            version: VERSION,
            class_name: "dog".into(),
            identifier: "sks \"ä\"".into(),
            objective: "pattern".into(),
            manifest_sha256: "1".repeat(64),
            base_sha256: "2".repeat(64),
            earlier_unet_sha256: "3".repeat(64),
            unet_sha256: "4".repeat(64),
            earlier_job_id: JobId::from_uuid(uuid::Uuid::from_u128(5)),
            job_id: JobId::from_uuid(uuid::Uuid::from_u128(6)),
            revoked_at: Timestamp::from_milliseconds(1_800_000_000_123),
            key_id: signer.key_id().into(),
        }
    }

    fn signed() -> (Vec<u8>, Vec<u8>) {
        let signer = Signer::from_seed(&[7; 32]);
        let keys = serde_json::to_vec(&signer.keys()).unwrap();
        (signer.sign(document(&signer)).unwrap(), keys)
    }

    #[test]
    fn published_file_is_valid() {
        let (file, keys) = signed();
        let signer = Signer::from_seed(&[7; 32]);
        assert_eq!(verify(&file, &keys), Ok(document(&signer)));
        let text = String::from_utf8(file).unwrap();
        assert!(
            text.starts_with("{\"digests\":{\"base_sha256\":\""),
            "{text}"
        );
    }

    #[test]
    fn changed_byte_anywhere_is_refused() {
        let (file, keys) = signed();
        for position in 0..file.len() {
            for change in [1, 2, 0x20, 0x80] {
                let mut forged = file.clone();
                forged[position] ^= change;
                assert!(
                    verify(&forged, &keys).is_err(),
                    "byte {position} ^ {change}"
                );
            }
            let mut shorter = file.clone();
            shorter.remove(position);
            assert!(verify(&shorter, &keys).is_err(), "without byte {position}");
            let mut longer = file.clone();
            longer.insert(position, b' ');
            assert!(verify(&longer, &keys).is_err(), "blank at {position}");
            assert!(
                verify(&file[..position], &keys).is_err(),
                "cut at {position}"
            );
        }
        assert!(verify(&[&file[..], b"\n"].concat(), &keys).is_err());
    }

    #[test]
    fn changed_field_is_named() {
        let (file, keys) = signed();
        let text = String::from_utf8(file).unwrap();
        for (from, to, field) in [
            ("\"dog\"", "\"cat\"", "class_name"),
            ("\"version\":1", "\"version\":2", "version"),
            (&"4".repeat(64), &"5".repeat(64), "unet_sha256"),
            (".123Z", ".124Z", "revoked_at"),
        ] {
            assert!(text.contains(from), "{from}");
            let forged = text.replacen(from, to, 1);
            let refusal = verify(forged.as_bytes(), &keys);
            assert_eq!(refusal, Err(Refusal::Changed(field.into())));
        }
        let pretty: Value = serde_json::from_str(&text).unwrap();
        let pretty = serde_json::to_vec_pretty(&pretty).unwrap();
        assert_eq!(verify(&pretty, &keys), Err(Refusal::Rewritten));
    }

    #[test]
    fn forged_hash_and_foreign_key_are_refused_by_the_signature() {
        let (file, keys) = signed();
        let forged: SignedRevocation = serde_json::from_slice(&file).unwrap();
        let mut document = forged.document.clone();
        document.class_name = "cat".into();
        let forged = SignedRevocation {
            digests: digests(&document).unwrap(),
            document,
            ..forged
        };
        let forged = canonical(&forged).unwrap();
        assert_eq!(
            verify(forged.as_bytes(), &keys),
            Err(Refusal::Signature),
            "whoever changes a field and its hash lacks the key"
        );
        let foreign = serde_json::to_vec(&Signer::from_seed(&[8; 32]).keys()).unwrap();
        assert_eq!(verify(&file, &foreign), Err(Refusal::Signature));
        let none = br#"{"keys":[]}"#;
        assert_eq!(verify(&file, none), Err(Refusal::Signature));
        for bad in [
            &b"{"[..],
            br#"{"keys":[{"key_id":"x","algorithm":"ed25519","public_key":"short"}]}"#,
            br#"{"keys":[{"key_id":"x","algorithm":"rsa","public_key":"short"}]}"#,
        ] {
            assert!(matches!(verify(&file, bad), Err(Refusal::BadKeys(_))));
        }
    }
}
