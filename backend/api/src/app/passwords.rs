//! Password hashes: argon2id off the async threads, two at a time (each takes 19 MiB).

use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier, password_hash::SaltString};
use tokio::sync::Semaphore;

use crate::{error::Error, secret};

/// Hashes and verifies passwords.
pub struct Passwords {
    permits: Semaphore,
    /// Verified where the account is unknown, so that both cases take the same time.
    decoy: String,
}

impl Passwords {
    /// Prepares the decoy hash.
    pub fn new() -> Result<Self, Error> {
        Ok(Self {
            permits: Semaphore::new(2),
            decoy: hash_now(&secret::random_text())?,
        })
    }

    /// The hash to store.
    pub async fn hash(&self, password: String) -> Result<String, Error> {
        let _permit = self.permits.acquire().await.map_err(Error::internal)?;
        tokio::task::spawn_blocking(move || hash_now(&password))
            .await
            .map_err(Error::internal)?
    }

    /// Whether the password belongs to the stored hash; takes as long without one.
    pub async fn verify(&self, password: String, stored: Option<String>) -> Result<bool, Error> {
        let known = stored.is_some();
        let hash = stored.unwrap_or_else(|| self.decoy.clone());
        let _permit = self.permits.acquire().await.map_err(Error::internal)?;
        let matches = tokio::task::spawn_blocking(move || {
            PasswordHash::new(&hash).is_ok_and(|hash| {
                Argon2::default()
                    .verify_password(password.as_bytes(), &hash)
                    .is_ok()
            })
        })
        .await
        .map_err(Error::internal)?;
        Ok(matches && known)
    }
}

fn hash_now(password: &str) -> Result<String, Error> {
    let salt = SaltString::encode_b64(&secret::random_bytes::<16>()).map_err(Error::internal)?;
    Argon2::default()
        .hash_password(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_account_matches() {
        let passwords = Passwords::new().unwrap();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(
            passwords
                .verify("correct horse".into(), Some(hash.clone()))
                .await
                .unwrap()
        );
        assert!(
            !passwords
                .verify("battery staple".into(), Some(hash))
                .await
                .unwrap()
        );
        assert!(
            !passwords
                .verify("correct horse".into(), None)
                .await
                .unwrap()
        );
    }
}
