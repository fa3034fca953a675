//! What a client proves itself with: an API key, or tokens that renew each other.

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use shared::auth::AccessToken;

/// A text that no log shows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// A short-lived token, and the one that gets the next pair, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenPair {
    /// Goes along with every request.
    pub access_token: Secret,
    /// Gets the next pair.
    pub refresh_token: Secret,
}

impl From<AccessToken> for TokenPair {
    fn from(token: AccessToken) -> Self {
        Self {
            access_token: Secret::new(token.access_token),
            refresh_token: Secret::new(token.refresh_token),
        }
    }
}

/// Where a pair of tokens lives. A refresh token that is shown twice ends the whole sign-in, so whoever renews holds the
/// lock, and looks first whether somebody else renewed.
pub trait TokenStore: Send + Sync {
    /// Keeps every other process away until the value is dropped; within this client, callers wait for each other before.
    fn lock(&self) -> io::Result<Box<dyn Send>>;

    /// The pair as it is now.
    fn load(&self) -> io::Result<TokenPair>;

    /// Replaces it.
    fn save(&self, pair: &TokenPair) -> io::Result<()>;
}

/// Tokens of one process, kept nowhere.
#[derive(Debug)]
pub struct MemoryTokens(Mutex<TokenPair>);

impl MemoryTokens {
    /// Starts with a pair.
    pub const fn new(pair: TokenPair) -> Self {
        Self(Mutex::new(pair))
    }
}

impl TokenStore for MemoryTokens {
    fn lock(&self) -> io::Result<Box<dyn Send>> {
        Ok(Box::new(()))
    }

    fn load(&self) -> io::Result<TokenPair> {
        let pair = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(pair.clone())
    }

    fn save(&self, pair: &TokenPair) -> io::Result<()> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = pair.clone();
        Ok(())
    }
}

/// What a client proves itself with.
#[derive(Clone)]
pub enum Credential {
    /// An API key.
    Key(Secret),
    /// Tokens of a sign-in, renewed when they expire.
    Tokens(Arc<dyn TokenStore>),
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Key(_) => "Key(…)",
            Self::Tokens(_) => "Tokens(…)",
        })
    }
}

impl Credential {
    /// What goes along with a request now.
    pub(crate) fn bearer(&self) -> io::Result<Secret> {
        match self {
            Self::Key(key) => Ok(key.clone()),
            Self::Tokens(store) => Ok(store.load()?.access_token),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_shown() {
        let pair = TokenPair {
            access_token: Secret::new("first-secret"),
            refresh_token: Secret::new("second-secret"),
        };
        let tokens = MemoryTokens::new(pair.clone());
        let shown = format!(
            "{pair:?} {tokens:?} {:?}",
            Credential::Key(Secret::new("third-secret"))
        );
        for hidden in ["first-secret", "second-secret", "third-secret"] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }
}
