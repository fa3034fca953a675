//! Access and node tokens: short JWTs signed with the server's Ed25519 keys.
//!
//! The newest key signs; older ones verify until every token that they signed has expired.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, RwLock},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use shared::{OrganisationId, Timestamp, UserId};

use super::verified::Verified;
use crate::{error::Error, secret};

const ISSUER: &str = "persguard";
const DAY_MILLISECONDS: i64 = 24 * 3_600_000;
/// A key signs for this long, then the next one does.
const ROTATION_MILLISECONDS: i64 = 90 * DAY_MILLISECONDS;
/// Longer than any token lives: a key that stopped to sign longer ago verifies nothing.
const RETIRED_MILLISECONDS: i64 = 366 * DAY_MILLISECONDS;
/// Between two looks at the file of keys that strangers cause.
const RELOAD_PAUSE: Duration = Duration::from_secs(1);

/// Who a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// A person's script.
    Api,
    /// A training node.
    Node,
}

impl Audience {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Node => "node",
        }
    }

    /// Seconds until a token of this kind expires.
    pub const fn lifetime_seconds(self) -> i64 {
        match self {
            Self::Api => 15 * 60,
            // The server's own child holds it; it is made anew at every start of the server.
            Self::Node => 365 * 24 * 3600,
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    /// The organisation that a person's token works in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    org: Option<OrganisationId>,
    iat: i64,
    exp: i64,
}

/// A key as its file keeps it.
#[derive(Clone, Serialize, Deserialize)]
struct StoredKey {
    seed: String,
    created_at: Timestamp,
}

struct Key {
    stored: StoredKey,
    encoding: EncodingKey,
    decoding: DecodingKey,
    public: [u8; 32],
    id: String,
}

impl Key {
    fn new(seed: &[u8; 32], created_at: Timestamp) -> Result<Self, ed25519_dalek::pkcs8::Error> {
        let key = SigningKey::from_bytes(seed);
        let public = key.verifying_key().to_bytes();
        Ok(Self {
            stored: StoredKey {
                seed: hex::encode(seed),
                created_at,
            },
            encoding: EncodingKey::from_ed_der(key.to_pkcs8_der()?.as_bytes()),
            decoding: DecodingKey::from_ed_der(&public),
            public,
            id: secret::sha256_hex(&public)[..16].to_owned(),
        })
    }

    fn load(stored: &StoredKey) -> io::Result<Self> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a signing key is damaged");
        let seed = hex::decode(&stored.seed).map_err(|_| damaged())?;
        let seed: [u8; 32] = seed.try_into().map_err(|_| damaged())?;
        Self::new(&seed, stored.created_at).map_err(io::Error::other)
    }
}

/// Signs and verifies tokens.
pub struct Tokens {
    /// Newest first; never empty.
    keys: RwLock<Vec<Key>>,
    file: Option<PathBuf>,
    verified: Verified<Claims>,
    /// When the file was last read for a token of an unknown key.
    reloaded: Mutex<Option<Instant>>,
}

/// The keys of a file; never none.
fn load(bytes: &[u8]) -> io::Result<Vec<Key>> {
    let stored: Vec<StoredKey> = serde_json::from_slice(bytes)?;
    if stored.is_empty() {
        let kind = io::ErrorKind::InvalidData;
        return Err(io::Error::new(kind, "there is no signing key"));
    }
    stored.iter().map(Key::load).collect()
}

impl Tokens {
    /// Loads the keys of a directory, or makes the first one; one that an earlier version made stays.
    pub fn open(directory: &Path, now: Timestamp) -> io::Result<Self> {
        let file = directory.join("token-keys.json");
        let keys = match fs::read(&file) {
            Ok(bytes) => load(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let seed = secret::load_or_create(&directory.join("token.key"))?;
                vec![Key::new(&seed, now).map_err(io::Error::other)?]
            }
            Err(error) => return Err(error),
        };
        let tokens = Self {
            keys: RwLock::new(keys),
            file: Some(file),
            verified: Verified::default(),
            reloaded: Mutex::default(),
        };
        tokens.save()?;
        Ok(tokens)
    }

    /// Takes the 32 bytes of an Ed25519 private key.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, ed25519_dalek::pkcs8::Error> {
        let key = Key::new(seed, Timestamp::default())?;
        Ok(Self {
            keys: RwLock::new(vec![key]),
            file: None,
            verified: Verified::default(),
            reloaded: Mutex::default(),
        })
    }

    fn read<T>(&self, look: impl FnOnce(&[Key]) -> T) -> T {
        let keys = self.keys.read();
        look(&keys.unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn save(&self) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let stored: Vec<StoredKey> =
            self.read(|keys| keys.iter().map(|key| key.stored.clone()).collect());
        secret::write_private(file, &serde_json::to_vec(&stored)?)
    }

    /// Signs with a new key from now on; tokens of the ones before stay valid until they expire.
    pub fn rotate(&self, now: Timestamp) -> io::Result<()> {
        let key = Key::new(&secret::random_bytes(), now).map_err(io::Error::other)?;
        {
            let keys = self.keys.write();
            let mut keys = keys.unwrap_or_else(std::sync::PoisonError::into_inner);
            keys.insert(0, key);
            // A key stopped to sign when the next newer one came.
            let ends: Vec<i64> = keys
                .iter()
                .map(|key| key.stored.created_at.milliseconds())
                .collect();
            let oldest = now.milliseconds() - RETIRED_MILLISECONDS;
            let kept = ends.iter().take_while(|end| **end > oldest).count() + 1;
            keys.truncate(kept);
        }
        self.save()
    }

    /// Takes the keys as their file has them now: another server on the same directory may have rotated them.
    fn reload(&self) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let loaded = load(&fs::read(file)?)?;
        let keys = self.keys.write();
        *keys.unwrap_or_else(std::sync::PoisonError::into_inner) = loaded;
        Ok(())
    }

    /// The same for whoever shows a token of a key that is not known here; not more often than every second.
    fn reload_for_a_stranger(&self) {
        let last = self.reloaded.lock();
        let mut last = last.unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.is_some_and(|last| last.elapsed() < RELOAD_PAUSE) {
            return;
        }
        *last = Some(Instant::now());
        if let Err(error) = self.reload() {
            tracing::warn!(%error, "the keys of access tokens cannot be read again");
        }
    }

    /// Rotates when the newest key has signed for long enough.
    pub fn rotate_if_due(&self, now: Timestamp) -> io::Result<()> {
        self.reload()?;
        let since = self.read(|keys| {
            keys.first()
                .map_or(0, |key| key.stored.created_at.milliseconds())
        });
        if now.milliseconds() - since < ROTATION_MILLISECONDS {
            return Ok(());
        }
        self.rotate(now)
    }

    fn sign(&self, claims: &Claims) -> Result<String, Error> {
        self.read(|keys| {
            let key = keys
                .first()
                .ok_or_else(|| Error::internal("no signing key"))?;
            let mut header = Header::new(Algorithm::EdDSA);
            header.kid = Some(key.id.clone());
            jsonwebtoken::encode(&header, claims, &key.encoding).map_err(Error::internal)
        })
    }

    /// Makes a token.
    pub fn issue(
        &self,
        audience: Audience,
        subject: &str,
        now: Timestamp,
    ) -> Result<String, Error> {
        self.sign(&claims(audience, subject, None, now))
    }

    /// Makes a token of a person who works in an organisation.
    pub fn issue_person(
        &self,
        user: UserId,
        organisation: OrganisationId,
        now: Timestamp,
    ) -> Result<String, Error> {
        let subject = user.to_string();
        self.sign(&claims(Audience::Api, &subject, Some(organisation), now))
    }

    fn claims(&self, audience: Audience, token: &str, now: Timestamp) -> Result<Claims, Error> {
        let verify = || self.signed(audience, token);
        let claims = self.verified.get(audience.as_str(), token, verify)?;
        // Against the clock that the rest of the server uses. No key is forgotten before its last token has expired.
        if claims.exp <= now.milliseconds() / 1000 {
            return Err(Error::Unauthenticated);
        }
        Ok(claims)
    }

    /// What a token says that one of our keys signed for this audience.
    fn signed(&self, audience: Audience, token: &str) -> Result<Claims, Error> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[audience.as_str()]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Checked at every use.
        validation.validate_exp = false;
        let header = jsonwebtoken::decode_header(token).map_err(|_| Error::Unauthenticated)?;
        let named = |key: &Key| header.kid.as_deref() == Some(key.id.as_str());
        if !self.read(|keys| keys.iter().any(named)) {
            self.reload_for_a_stranger();
        }
        self.read(|keys| {
            let key = keys
                .iter()
                .find(|key| named(key))
                .ok_or(Error::Unauthenticated)?;
            jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation)
                .map(|data| data.claims)
                .map_err(|_| Error::Unauthenticated)
        })
    }

    /// The subject of a valid token; anything else is `Unauthenticated`.
    pub fn verify(&self, audience: Audience, token: &str, now: Timestamp) -> Result<String, Error> {
        Ok(self.claims(audience, token, now)?.sub)
    }

    /// The person of a valid token, and where they work: in their own organisation unless it says otherwise.
    pub fn verify_person(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<(UserId, OrganisationId), Error> {
        let claims = self.claims(Audience::Api, token, now)?;
        let user: UserId = claims.sub.parse().map_err(|_| Error::Unauthenticated)?;
        let own = OrganisationId::from_uuid(user.uuid());
        Ok((user, claims.org.unwrap_or(own)))
    }

    /// The public keys as a JSON Web Key Set, the one that signs first.
    pub fn key_set(&self) -> serde_json::Value {
        let view = |key: &Key| {
            serde_json::json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
                "kid": key.id, "x": URL_SAFE_NO_PAD.encode(key.public),
            })
        };
        let keys: Vec<_> = self.read(|keys| keys.iter().map(view).collect());
        serde_json::json!({ "keys": keys })
    }
}

fn claims(
    audience: Audience,
    subject: &str,
    org: Option<OrganisationId>,
    now: Timestamp,
) -> Claims {
    let issued = now.milliseconds() / 1000;
    Claims {
        iss: ISSUER.into(),
        aud: audience.as_str().into(),
        sub: subject.into(),
        org,
        iat: issued,
        exp: issued + audience.lifetime_seconds(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_milliseconds(1_800_000_000_000);

    fn tokens(seed: u8) -> Tokens {
        Tokens::from_seed(&[seed; 32]).unwrap()
    }

    #[test]
    fn own_token_is_accepted_until_it_expires() {
        let tokens = tokens(1);
        let token = tokens.issue(Audience::Api, "usr_1", NOW).unwrap();
        assert_eq!(tokens.verify(Audience::Api, &token, NOW).unwrap(), "usr_1");
        let end = Timestamp::from_milliseconds(NOW.milliseconds() + 900_000);
        assert!(tokens.verify(Audience::Api, &token, end).is_err());
    }

    #[test]
    fn other_audience_and_other_key_are_refused() {
        let token = tokens(1).issue(Audience::Api, "usr_1", NOW).unwrap();
        assert!(tokens(1).verify(Audience::Node, &token, NOW).is_err());
        assert!(tokens(2).verify(Audience::Api, &token, NOW).is_err());
    }

    #[test]
    fn unsigned_and_changed_tokens_are_refused() {
        let tokens = tokens(1);
        let token = tokens.issue(Audience::Api, "usr_1", NOW).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        let other = URL_SAFE_NO_PAD.encode(claims.replace("usr_1", "usr_2"));
        for forged in [
            format!("{none}.{}.", parts[1]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{}.{other}.{}", parts[0], parts[2]),
            String::new(),
            "a.b.c".into(),
        ] {
            assert!(
                tokens.verify(Audience::Api, &forged, NOW).is_err(),
                "{forged}"
            );
        }
    }

    #[test]
    fn old_keys_verify_until_their_tokens_have_expired_and_survive_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(directory.path(), NOW).unwrap();
        let old = tokens.issue(Audience::Node, "local", NOW).unwrap();
        let later =
            |days: i64| Timestamp::from_milliseconds(NOW.milliseconds() + days * DAY_MILLISECONDS);
        tokens.rotate_if_due(later(89)).unwrap();
        assert_eq!(key_ids(&tokens).len(), 1, "not due yet");
        tokens.rotate_if_due(later(90)).unwrap();
        let ids = key_ids(&tokens);
        assert_eq!(ids.len(), 2);
        assert!(tokens.verify(Audience::Node, &old, later(91)).is_ok());
        let tokens = Tokens::open(directory.path(), later(91)).unwrap();
        assert_eq!(key_ids(&tokens), ids);
        assert!(tokens.verify(Audience::Node, &old, later(91)).is_ok());
        // The first key stopped to sign on day 90: a year and a day later it is gone.
        tokens.rotate(later(90 + 367)).unwrap();
        assert_eq!(key_ids(&tokens).len(), 2);
        assert!(!key_ids(&tokens).contains(&ids[1]));
        assert!(key_ids(&tokens).contains(&ids[0]));
    }

    #[test]
    fn servers_on_one_directory_follow_each_others_rotation() {
        let directory = tempfile::tempdir().unwrap();
        let one = Tokens::open(directory.path(), NOW).unwrap();
        let two = Tokens::open(directory.path(), NOW).unwrap();
        let later = Timestamp::from_milliseconds(NOW.milliseconds() + 90 * DAY_MILLISECONDS);
        one.rotate_if_due(later).unwrap();
        let token = one.issue(Audience::Api, "usr_1", later).unwrap();
        assert_eq!(two.verify(Audience::Api, &token, later).unwrap(), "usr_1");
        two.rotate_if_due(later).unwrap();
        assert_eq!(key_ids(&two), key_ids(&one), "once is enough");
    }

    #[test]
    fn damaged_tokens_are_never_believed() {
        let tokens = tokens(1);
        let token = tokens.issue(Audience::Api, "usr_1", NOW).unwrap();
        crate::damage::each(&[&token], |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let believed = tokens.verify(Audience::Api, &text, NOW).is_ok();
            assert_eq!(believed, text == token, "{text}");
        });
    }

    fn key_ids(tokens: &Tokens) -> Vec<String> {
        let keys = tokens.key_set()["keys"].clone();
        let keys = keys.as_array().unwrap();
        keys.iter()
            .map(|key| key["kid"].as_str().unwrap().to_owned())
            .collect()
    }
}
