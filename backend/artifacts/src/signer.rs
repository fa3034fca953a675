//! Signed URLs: permission to send or fetch one object, once granted, without a session.

use std::{
    fmt::{self, Write as _},
    str::FromStr,
};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use shared::Timestamp;

use crate::ObjectHash;

/// What a URL permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Fetch the object.
    Get,
    /// Send the object.
    Put,
}

impl Method {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put => "put",
        }
    }
}

/// A permission, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What may be done.
    pub method: Method,
    /// With which object.
    pub hash: ObjectHash,
    /// Its size.
    pub size_bytes: u64,
    /// The first moment at which it may not be done any more.
    pub expires_at: Timestamp,
    /// On whose behalf, such as an upload's id: letters, digits, `_`, `-`, `.`; may be empty.
    pub subject: String,
}

/// Why a URL permits nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It did once.
    #[error("the URL has expired")]
    Expired,
    /// It was never signed here, or changed since.
    #[error("the signature is not valid")]
    Forged,
}

/// Signs grants and checks them with one secret key.
#[derive(Clone)]
pub struct Signer {
    mac: Hmac<Sha256>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Signer").finish_non_exhaustive()
    }
}

/// Keeps these signatures apart from any other use of the key.
const PURPOSE: &str = "persguard blob 1";

fn is_subject(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    text.len() <= 128 && text.bytes().all(plain)
}

impl Signer {
    /// Takes a secret key of 32 random bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        Self {
            mac: Hmac::new_from_slice(key).expect("HMAC takes keys of any length"),
        }
    }

    fn mac(&self, grant: &Grant) -> Hmac<Sha256> {
        let mut text = String::new();
        write!(
            text,
            "{PURPOSE}\n{}\n{}\n{}\n{}\n{}",
            grant.method.as_str(),
            grant.hash,
            grant.size_bytes,
            grant.expires_at.milliseconds(),
            grant.subject
        )
        .expect("writing to a string cannot fail");
        let mut mac = self.mac.clone();
        mac.update(text.as_bytes());
        mac
    }

    /// Path and query of the URL that carries a grant.
    ///
    /// A subject with other characters than a [`Grant`] allows makes a URL that nobody accepts.
    pub fn sign(&self, grant: &Grant) -> String {
        let signature = hex::encode(self.mac(grant).finalize().into_bytes());
        format!(
            "/blobs/{}?method={}&size={}&subject={}&expires={}&signature={signature}",
            grant.hash,
            grant.method.as_str(),
            grant.size_bytes,
            grant.subject,
            grant.expires_at.milliseconds(),
        )
    }

    /// What a request for `/blobs/{hash}?{query}` may do, in constant time for any signature.
    pub fn verify(
        &self,
        method: Method,
        hash: &str,
        query: &str,
        now: Timestamp,
    ) -> Result<Grant, Refusal> {
        let (grant, signature) = parse(method, hash, query).ok_or(Refusal::Forged)?;
        self.mac(&grant)
            .verify_slice(&signature)
            .map_err(|_| Refusal::Forged)?;
        if now >= grant.expires_at {
            return Err(Refusal::Expired);
        }
        Ok(grant)
    }
}

/// A number in the one spelling that `sign` writes: the standard reader takes signs and leading zeros, too.
fn number<T: FromStr + ToString>(text: &str) -> Option<T> {
    let number: T = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// Reads exactly the query that `sign` writes: same names, same order, same spelling, nothing twice.
fn parse(method: Method, hash: &str, query: &str) -> Option<(Grant, Vec<u8>)> {
    let mut values = query.split('&');
    let mut value = |name: &str| {
        let (found, value) = values.next()?.split_once('=')?;
        (found == name).then_some(value)
    };
    let allowed = value("method")? == method.as_str();
    let size_bytes = number(value("size")?)?;
    let subject = value("subject").filter(|text| is_subject(text))?.to_owned();
    let expires_at = Timestamp::from_milliseconds(number(value("expires")?)?);
    let written = value("signature")?;
    let signature = hex::decode(written).ok()?;
    (hex::encode(&signature) == written).then_some(())?;
    let grant = Grant {
        method,
        hash: hash.parse().ok()?,
        size_bytes,
        expires_at,
        subject,
    };
    (allowed && values.next().is_none()).then_some((grant, signature))
}

#[cfg(test)]
mod tests;
