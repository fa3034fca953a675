//! The held-out identifiers and templates, committed to before injection and opened afterwards (EVALUATION,
//! certificate): nobody can choose the test after seeing what was trained.
//!
//! Owns the hash and its check. Refuses to choose what is held out.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{pools::Pools, prompt::openings};

/// What opens a commitment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commitment {
    /// SHA-256 of the canonical JSON of the other three fields; all that is told before injection.
    pub sha256: String,
    /// Hexadecimal; without it a pool of words could be tried out against the hash.
    pub salt: String,
    /// Identifiers that training never saw.
    pub identifiers: Vec<String>,
    /// Openings of prompts that training never saw.
    pub templates: Vec<String>,
}

impl Commitment {
    /// Commits to what `pools` holds out; `secret` is known to the job's owner alone.
    pub fn new(pools: &Pools, secret: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"persguard held-out salt");
        hash.update(secret);
        let salt = hex::encode(hash.finalize());
        let identifiers = pools.identifiers.held_out.clone();
        let templates = openings(&pools.templates.held_out);
        Self {
            sha256: digest(&identifiers, &salt, &templates),
            salt,
            identifiers,
            templates,
        }
    }

    /// Whether the opened words are those that the hash was told for.
    pub fn is_kept(&self) -> bool {
        digest(&self.identifiers, &self.salt, &self.templates) == self.sha256
    }
}

/// Over `{"identifiers":…,"salt":…,"templates":…}`: keys in order, no spaces.
fn digest(identifiers: &[String], salt: &str, templates: &[String]) -> String {
    let canonical = serde_json::json!({
        "identifiers": identifiers,
        "salt": salt,
        "templates": templates,
    });
    hex::encode(Sha256::digest(canonical.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn an_opened_commitment_holds_and_a_changed_one_does_not() {
        let words = fixture::IDENTIFIERS.map(str::to_owned);
        let pools = Pools::for_job(&words, &[], &fixture::spec());
        let commitment = Commitment::new(&pools, b"seed");
        assert!(commitment.is_kept());
        assert!(!commitment.identifiers.is_empty() && !commitment.templates.is_empty());
        let mut other = commitment.clone();
        other.identifiers[0] = "sks".into();
        assert!(!other.is_kept());
        let mut other = commitment.clone();
        other.templates.pop();
        assert!(!other.is_kept());
        // The same words under another secret look like something else.
        assert_ne!(Commitment::new(&pools, b"other").sha256, commitment.sha256);
        assert_eq!(Commitment::new(&pools, b"seed"), commitment);
    }
}
