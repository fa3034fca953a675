//! Statements that outlive this server: canonical JSON, a hash for each field, one Ed25519 signature over the hashes.
//!
//! Owns revocations and signed texts; keys, signatures and the canonical form are `shared::signed`'s. Refuses any other
//! form of the same content, so that a changed byte anywhere is noticed, and says which field it was in where the
//! signature still covers the hashes.

use std::{collections::BTreeMap, io, path::Path};

use serde_json::Value;
use shared::{
    canonical,
    revocation::{Revocation, SignedRevocation, SigningKeys},
    signed::{self, StatementKey},
};

use crate::secret;

/// Version of the form that is written here.
pub const VERSION: u32 = 1;
/// Goes before what is signed: this key's signatures mean nothing else.
const PURPOSE: &str = "persguard revocation\n";

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

/// The same reasons in this form's words.
impl From<signed::Refusal> for Refusal {
    fn from(refusal: signed::Refusal) -> Self {
        match refusal {
            signed::Refusal::BadKeys(reason) => Self::BadKeys(reason),
            signed::Refusal::Changed(field) => Self::Changed(field),
            signed::Refusal::Signature => Self::Signature,
            other => Self::Unreadable(other.to_string()),
        }
    }
}

/// Signs statements.
pub struct Signer {
    key: StatementKey,
    key_id: String,
}

impl Signer {
    /// Loads the key, or makes one.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::from_seed(&secret::load_or_create(path)?))
    }

    /// Takes the 32 bytes of an Ed25519 private key.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = StatementKey::from_seed(seed);
        let key_id = key.public().key_id;
        Self { key, key_id }
    }

    /// What statements call the key.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The same key for statements of other kinds, which are told apart by their purpose.
    pub fn statement_key(&self) -> &StatementKey {
        &self.key
    }

    /// The public half.
    pub fn keys(&self) -> SigningKeys {
        SigningKeys {
            keys: vec![self.key.public()],
        }
    }

    /// The file of a statement.
    pub fn sign(&self, document: Revocation) -> Result<Vec<u8>, canonical::Error> {
        let digests = digests(&document)?;
        let signed = SignedRevocation {
            signature: self.sign_text(PURPOSE, &canonical::to_text(&digests)?),
            digests,
            document,
        };
        Ok(canonical::to_text(&signed)?.into_bytes())
    }

    /// A signature over a text; `purpose` is a line that tells what this signature means.
    pub fn sign_text(&self, purpose: &str, text: &str) -> String {
        self.key.sign_bytes(&message(purpose, text))
    }
}

fn message(purpose: &str, text: &str) -> Vec<u8> {
    [purpose.as_bytes(), text.as_bytes()].concat()
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
    Ok(signed::key_of(
        &message(purpose, text),
        signature,
        &keys.keys,
    )?)
}

/// What was stated, if one of the keys signed all of it and nothing was changed since.
pub fn verify(file: &[u8], keys: &[u8]) -> Result<Revocation, Refusal> {
    let read: SignedRevocation =
        serde_json::from_slice(file).map_err(|error| Refusal::Unreadable(error.to_string()))?;
    let unreadable = |error: canonical::Error| Refusal::Unreadable(error.to_string());
    let hashes = canonical::to_text(&read.digests).map_err(unreadable)?;
    let key = verify_text(PURPOSE, &hashes, &read.signature, keys)?;
    let found = digests(&read.document).map_err(unreadable)?;
    signed::compare(&read.digests, &found)?;
    if read.document.key_id != key {
        return Err(Refusal::Changed("key_id".into()));
    }
    if canonical::to_text(&read).map_err(unreadable)?.as_bytes() != file {
        return Err(Refusal::Rewritten);
    }
    if read.document.version != VERSION {
        return Err(Refusal::Version(read.document.version));
    }
    Ok(read.document)
}

/// The hash of each field.
fn digests(document: &Revocation) -> Result<BTreeMap<String, String>, canonical::Error> {
    let fields: BTreeMap<String, Value> = serde_json::from_value(serde_json::to_value(document)?)?;
    fields
        .into_iter()
        .map(|(name, value)| Ok((name, canonical::sha256(&value)?)))
        .collect()
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
        let forged = canonical::to_text(&forged).unwrap();
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
