//! Signed statements whose every part has a hash of its own: what was changed can be named.
//!
//! Owns the form (canonical JSON, a SHA-256 for every part, one Ed25519 signature over all of them) and its check.
//! Refuses any other layout of the same content, keys that appear twice, and files beyond a size that their reader sets.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    canonical,
    revocation::{self, SigningKeys},
};

/// The only algorithm there is.
pub const ALGORITHM: &str = "ed25519";
/// How deep parts are told apart: `/report/cells/3` is one, whatever is in it.
const DEPTH: usize = 3;
/// Longest text of a parser that is repeated in a refusal.
const LONGEST_REASON: usize = 200;

/// Why a statement is not believed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is too large to be one.
    #[error("The file has {size_bytes} bytes; {limit_bytes} are the limit.")]
    TooLarge {
        /// Its size.
        size_bytes: u64,
        /// The most that is read.
        limit_bytes: u64,
    },
    /// It is no such statement.
    #[error("This is no signed statement of this kind: {0}.")]
    Unreadable(String),
    /// The file with the keys is none.
    #[error("This is no list of signing keys: {0}.")]
    BadKeys(String),
    /// A part is not what its hash says.
    #[error("The field `{0}` was changed after it was signed.")]
    Changed(String),
    /// No key made the signature over these hashes.
    #[error(
        "The field `/signature` does not fit: none of these keys made it, or hash and content were changed together."
    )]
    Signature,
    /// The content is right, its bytes are not those that were signed.
    #[error(
        "The file was rewritten after it was signed: from byte {0} on, its layout is not the published one."
    )]
    Rewritten(usize),
    /// A later version wrote it.
    #[error("The field `/document/version` is {0}, which this program does not know.")]
    Version(String),
}

/// What a kind of statement is called and which version is known.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Goes before what is signed, so that a key's signatures mean nothing else: `persguard certificate`.
    pub purpose: &'static str,
    /// The version that is written and read.
    pub version: u32,
    /// Most bytes of a file.
    pub limit_bytes: u64,
}

/// A private key with its name.
pub struct StatementKey {
    key: SigningKey,
}

impl StatementKey {
    /// Takes the 32 bytes of an Ed25519 private key.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self {
            key: SigningKey::from_bytes(seed),
        }
    }

    /// The public half, as statements and key lists hold it.
    pub fn public(&self) -> revocation::SigningKey {
        let public = self.key.verifying_key();
        revocation::SigningKey {
            key_id: key_id(&public),
            algorithm: ALGORITHM.into(),
            public_key: URL_SAFE_NO_PAD.encode(public.as_bytes()),
        }
    }

    /// The signature over a message, in base64url.
    pub fn sign_bytes(&self, message: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(self.key.sign(message).to_bytes())
    }

    /// The file of a statement: canonical JSON of `digests`, `document` and `signature`.
    ///
    /// `document` is an object with a number `version` and, under `signer`, the public half of this key. Numbers of more
    /// than 15 digits are cut to 15, see [`canonical::settle`].
    pub fn sign(&self, kind: Kind, document: &impl Serialize) -> Result<Vec<u8>, canonical::Error> {
        let mut document = serde_json::to_value(document)?;
        canonical::settle(&mut document);
        let digests = digests(&document)?;
        let signed = serde_json::json!({
            "signature": self.sign_bytes(&message(kind, &digests)?),
            "digests": digests,
            "document": document,
        });
        Ok(canonical::to_text(&signed)?.into_bytes())
    }
}

/// A statement that is what its signer wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T> {
    /// What is stated.
    pub document: T,
    /// The key that signed.
    pub key_id: String,
    /// Whether that key is one of those given; otherwise the file brought it along.
    pub is_known_key: bool,
}

/// Checks a file against `keys` (what a server answers under `/v1/signing-keys`), or without any against the key that
/// the file itself names, which shows that nothing was changed and not who signed.
pub fn verify<T: DeserializeOwned>(
    kind: Kind,
    file: &[u8],
    keys: Option<&[u8]>,
) -> Result<Verified<T>, Refusal> {
    let size_bytes = file.len() as u64;
    if size_bytes > kind.limit_bytes {
        return Err(Refusal::TooLarge {
            size_bytes,
            limit_bytes: kind.limit_bytes,
        });
    }
    let whole: Value = serde_json::from_slice(file).map_err(|error| unreadable(&error))?;
    let signed = Parts::of(&whole)?;
    let found = digests(signed.document).map_err(|error| unreadable(&error))?;
    compare(&signed.digests, &found)?;
    let key_id = signed.signer(kind, keys)?;
    let text = canonical::to_text(&whole).map_err(|error| unreadable(&error))?;
    if text.as_bytes() != file {
        let same = text.bytes().zip(file).take_while(|(l, r)| l == *r).count();
        return Err(Refusal::Rewritten(same));
    }
    let version = &signed.document["version"];
    if version.as_u64() != Some(u64::from(kind.version)) {
        return Err(Refusal::Version(shortened(&version.to_string())));
    }
    Ok(Verified {
        document: T::deserialize(signed.document).map_err(|error| unreadable(&error))?,
        key_id,
        is_known_key: keys.is_some(),
    })
}

/// The three parts of a file.
struct Parts<'a> {
    digests: BTreeMap<String, String>,
    document: &'a Value,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    fn of(whole: &'a Value) -> Result<Self, Refusal> {
        let bad = |reason: &str| Refusal::Unreadable(reason.to_owned());
        let map = whole
            .as_object()
            .ok_or_else(|| bad("it is no JSON object"))?;
        if let Some(other) = map
            .keys()
            .find(|key| !["digests", "document", "signature"].contains(&key.as_str()))
        {
            return Err(bad(&format!("it has a field `{}`", shortened(other))));
        }
        let part = |name: &str| {
            map.get(name)
                .ok_or_else(|| bad(&format!("it has no `{name}`")))
        };
        let digests = BTreeMap::<String, String>::deserialize_from(part("digests")?);
        let document = part("document")?;
        if !document.is_object() {
            return Err(bad("`document` is no object"));
        }
        Ok(Self {
            digests: digests.ok_or_else(|| bad("`digests` is no map of texts"))?,
            document,
            signature: part("signature")?
                .as_str()
                .ok_or_else(|| bad("`signature` is no text"))?,
        })
    }

    /// The id of the key that made the signature, which must be the one that the document names.
    fn signer(&self, kind: Kind, keys: Option<&[u8]>) -> Result<String, Refusal> {
        let message = message(kind, &self.digests).map_err(|error| unreadable(&error))?;
        let named = revocation::SigningKey::deserialize_from(&self.document["signer"]);
        let keys = match keys {
            Some(keys) => {
                serde_json::from_slice::<SigningKeys>(keys)
                    .map_err(|error| Refusal::BadKeys(shortened(&error.to_string())))?
                    .keys
            }
            None => named.iter().cloned().collect(),
        };
        let id = key_of(&message, self.signature, &keys)?;
        let is_named = |key: &revocation::SigningKey| {
            named
                .as_ref()
                .is_some_and(|named| named.key_id == id && named.public_key == key.public_key)
        };
        if keys.iter().any(is_named) {
            Ok(id)
        } else {
            Err(Refusal::Signature)
        }
    }
}

/// The id of the first of these keys that made the signature, in base64url, over the message.
pub fn key_of(
    message: &[u8],
    signature: &str,
    keys: &[revocation::SigningKey],
) -> Result<String, Refusal> {
    let bytes = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| Refusal::Signature)?;
    let signature = Signature::from_slice(&bytes).map_err(|_| Refusal::Signature)?;
    for key in keys {
        let key = public(key)?;
        if key.verify_strict(message, &signature).is_ok() {
            return Ok(key_id(&key));
        }
    }
    Err(Refusal::Signature)
}

/// Reading a part of a parsed file; `None` where it has another form.
trait FromPart: DeserializeOwned {
    fn deserialize_from(value: &Value) -> Option<Self> {
        Self::deserialize(value).ok()
    }
}

impl<T: DeserializeOwned> FromPart for T {}

fn unreadable(error: &impl ToString) -> Refusal {
    Refusal::Unreadable(shortened(&error.to_string()))
}

/// Texts of a hostile file are repeated in part only.
fn shortened(text: &str) -> String {
    text.chars().take(LONGEST_REASON).collect()
}

/// The first bytes of the public key's hash.
fn key_id(key: &VerifyingKey) -> String {
    canonical::sha256_hex(key.as_bytes())[..16].to_owned()
}

fn public(key: &revocation::SigningKey) -> Result<VerifyingKey, Refusal> {
    let bad = |what: &str| Refusal::BadKeys(format!("`{}` {what}", shortened(&key.key_id)));
    if key.algorithm != ALGORITHM {
        return Err(bad("is of another algorithm"));
    }
    let bytes = URL_SAFE_NO_PAD.decode(&key.public_key).ok();
    let bytes: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
    let bytes = bytes.ok_or_else(|| bad("has no 32 bytes in base64url"))?;
    VerifyingKey::from_bytes(&bytes).map_err(|_| bad("is no point of the curve"))
}

fn message(kind: Kind, digests: &BTreeMap<String, String>) -> Result<Vec<u8>, canonical::Error> {
    Ok(format!("{}\n{}", kind.purpose, canonical::to_text(digests)?).into_bytes())
}

/// Names the first part that differs from its hash.
pub fn compare(
    signed: &BTreeMap<String, String>,
    found: &BTreeMap<String, String>,
) -> Result<(), Refusal> {
    let names = signed.keys().chain(found.keys());
    let changed = names
        .into_iter()
        .find(|name| signed.get(*name) != found.get(*name));
    changed.map_or(Ok(()), |name| Err(Refusal::Changed(shortened(name))))
}

/// The hash of every part, by JSON pointer.
fn digests(document: &Value) -> Result<BTreeMap<String, String>, canonical::Error> {
    let mut digests = BTreeMap::new();
    collect(document, &mut String::new(), 0, &mut digests)?;
    Ok(digests)
}

fn collect(
    value: &Value,
    pointer: &mut String,
    depth: usize,
    digests: &mut BTreeMap<String, String>,
) -> Result<(), canonical::Error> {
    let members: Vec<(String, &Value)> = match value {
        _ if depth == DEPTH => Vec::new(),
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| (escaped(name), value))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(at, value)| (at.to_string(), value))
            .collect(),
        _ => Vec::new(),
    };
    if members.is_empty() {
        digests.insert(pointer.clone(), canonical::sha256(value)?);
    }
    for (name, value) in members {
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(&name);
        collect(value, pointer, depth + 1, digests)?;
        pointer.truncate(length);
    }
    Ok(())
}

/// A name inside a JSON pointer (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
