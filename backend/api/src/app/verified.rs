//! Tokens whose signature was verified before: a signature does not change, and checking one costs more than a read.
//!
//! Only what the signature proves is kept. Expiry is checked at every use, and so is membership.

use std::{collections::HashMap, sync::Mutex};

use sha2::{Digest, Sha256};

/// Most tokens that are remembered; with more of them all are forgotten and verified anew.
const MOST: usize = 10_000;

/// Values behind tokens, by the hash of purpose and token: no token is kept.
pub(crate) struct Verified<T> {
    known: Mutex<HashMap<[u8; 32], T>>,
}

impl<T> Default for Verified<T> {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
        }
    }
}

impl<T: Clone> Verified<T> {
    /// What stands behind a token, verified now or before; failures are not remembered.
    pub(crate) fn get<E>(
        &self,
        purpose: &str,
        token: &str,
        verify: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let key: [u8; 32] = Sha256::new()
            .chain_update(purpose)
            .chain_update("\n")
            .chain_update(token)
            .finalize()
            .into();
        if let Some(value) = self.lock().get(&key) {
            return Ok(value.clone());
        }
        let value = verify()?;
        let mut known = self.lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key, value.clone());
        Ok(value)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], T>> {
        self.known
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_verified_once_for_each_purpose_and_failures_again() {
        let verified = Verified::default();
        let mut times = 0;
        let mut ask = |purpose: &str, token: &str, good: bool| {
            verified.get(purpose, token, || {
                times += 1;
                good.then_some(times).ok_or("bad")
            })
        };
        assert_eq!(ask("api", "a", true), Ok(1));
        assert_eq!(ask("api", "a", false), Ok(1));
        assert_eq!(ask("node", "a", true), Ok(2));
        assert_eq!(ask("api", "b", false), Err("bad"));
        assert_eq!(ask("api", "b", false), Err("bad"));
        assert_eq!(times, 4);
    }

    #[test]
    fn memory_is_bounded() {
        let verified = Verified::default();
        for number in 0..=MOST {
            let _ = verified.get("api", &number.to_string(), || Ok::<_, ()>(number));
        }
        assert_eq!(verified.lock().len(), 1);
    }
}
