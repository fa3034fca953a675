//! Access and node tokens: short JWTs signed with the server's Ed25519 key.

use std::{io, path::Path};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use shared::Timestamp;

use crate::{error::Error, secret};

const ISSUER: &str = "persguard";

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

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    iat: i64,
    exp: i64,
}

/// Signs and verifies tokens.
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    public: [u8; 32],
    key_id: String,
}

impl Tokens {
    /// Loads the key, or makes one.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::from_seed(&secret::load_or_create(path)?).map_err(io::Error::other)
    }

    /// Takes the 32 bytes of an Ed25519 private key.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, ed25519_dalek::pkcs8::Error> {
        let key = SigningKey::from_bytes(seed);
        let public = key.verifying_key().to_bytes();
        Ok(Self {
            encoding: EncodingKey::from_ed_der(key.to_pkcs8_der()?.as_bytes()),
            decoding: DecodingKey::from_ed_der(&public),
            public,
            key_id: secret::sha256_hex(&public)[..16].to_owned(),
        })
    }

    /// Makes a token.
    pub fn issue(
        &self,
        audience: Audience,
        subject: &str,
        now: Timestamp,
    ) -> Result<String, Error> {
        let issued = now.milliseconds() / 1000;
        let claims = Claims {
            iss: ISSUER.into(),
            aud: audience.as_str().into(),
            sub: subject.into(),
            iat: issued,
            exp: issued + audience.lifetime_seconds(),
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.key_id.clone());
        jsonwebtoken::encode(&header, &claims, &self.encoding).map_err(Error::internal)
    }

    /// The subject of a valid token; anything else is `Unauthenticated`.
    pub fn verify(&self, audience: Audience, token: &str, now: Timestamp) -> Result<String, Error> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[audience.as_str()]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Checked below, against the clock that the rest of the server uses.
        validation.validate_exp = false;
        let data = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation)
            .map_err(|_| Error::Unauthenticated)?;
        let seconds = now.milliseconds() / 1000;
        let known_key = data.header.kid.as_deref() == Some(self.key_id.as_str());
        if !known_key || data.claims.exp <= seconds {
            return Err(Error::Unauthenticated);
        }
        Ok(data.claims.sub)
    }

    /// The public key as a JSON Web Key Set.
    pub fn key_set(&self) -> serde_json::Value {
        serde_json::json!({ "keys": [{
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
            "kid": self.key_id, "x": URL_SAFE_NO_PAD.encode(self.public),
        }]})
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
}
