//! The key of an object: the SHA-256 of its bytes.

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};

/// A SHA-256, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectHash([u8; 32]);

/// The text is not 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 lower-case hexadecimal digits")]
pub struct HashError;

impl ObjectHash {
    /// Hash of bytes at hand.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Its 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What a running hash came to.
    pub(crate) fn from_digest(digest: Sha256) -> Self {
        Self(digest.finalize().into())
    }
}

impl FromStr for ObjectHash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(HashError); // one object, one spelling
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| HashError)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for ObjectHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ObjectHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_object_has_its_known_hash() {
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(ObjectHash::of(b"").to_string(), text);
        assert_eq!(text.parse(), Ok(ObjectHash::of(b"")));
    }

    #[test]
    fn anything_else_is_refused() {
        let upper = ObjectHash::of(b"").to_string().to_uppercase();
        for text in [&upper, "", "e3b0", "../../etc/passwd", &"g".repeat(64)] {
            assert_eq!(text.parse::<ObjectHash>(), Err(HashError), "{text}");
        }
    }
}
