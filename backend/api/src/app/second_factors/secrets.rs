//! Secrets of authenticator apps.
//!
//! A secret is derived from one key file, the account and a seed: the database holds the seed alone, and a copy of it
//! makes no code.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use shared::UserId;
use totp_rs::Secret;

use crate::secret;

/// What every app takes: RFC 4226 recommends as many bytes as SHA-1 gives.
const SECRET_BYTES: usize = 20;
/// Before a seed. What has no such beginning is a secret itself, from before there were seeds.
const SEED: &str = "seed:";

/// Derives secrets.
pub struct Secrets {
    key: [u8; 32],
}

impl Secrets {
    /// Takes the key.
    pub const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// A new seed as the database keeps it.
    pub fn seed() -> String {
        format!("{SEED}{}", secret::random_text())
    }

    /// The secret that belongs to what the database keeps for an account, in base32.
    pub fn secret(&self, user: UserId, kept: &str) -> String {
        if !kept.starts_with(SEED) {
            return kept.to_owned();
        }
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(format!("persguard second factor\n{user}\n{kept}").as_bytes());
        let bytes = mac.finalize().into_bytes();
        Secret::from(bytes[..SECRET_BYTES].to_vec()).to_base32()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use uuid::Uuid;

    use super::*;

    #[test]
    fn secrets_differ_by_key_account_and_seed_and_stay() {
        let user = |number| UserId::from_uuid(Uuid::from_u128(number));
        let (one, other) = (Secrets::new([1; 32]), Secrets::new([2; 32]));
        let (seed, another) = (Secrets::seed(), Secrets::seed());
        let all = [
            one.secret(user(1), &seed),
            one.secret(user(1), &another),
            one.secret(user(2), &seed),
            other.secret(user(1), &seed),
        ];
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert_eq!(one.secret(user(1), &seed), all[0]);
        let bytes = Secret::try_from_base32(&all[0]).unwrap();
        assert_eq!(bytes.as_bytes().len(), SECRET_BYTES);
    }

    #[test]
    fn what_was_kept_before_there_were_seeds_is_the_secret() {
        let kept = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        let user = UserId::from_uuid(Uuid::from_u128(1));
        assert_eq!(Secrets::new([1; 32]).secret(user, kept), kept);
    }
}
