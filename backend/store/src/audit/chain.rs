//! The arithmetic of the chain: hashes, and a check that walks it once in bounded memory.

use sha2::{Digest, Sha256};
use shared::{
    OrganisationId,
    audit::{AuditEntry, AuditHead, NO_HASH},
};

/// Hash of an entry: SHA-256 over the hash before, a line feed and the entry's canonical JSON.
pub fn chain_hash(previous_hash: &str, entry: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(previous_hash);
    digest.update("\n");
    digest.update(entry);
    hex::encode(digest.finalize())
}

/// What is wrong with a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// The entry is no canonical JSON of an entry.
    #[error("the entry is unreadable or was rewritten")]
    Unreadable,
    /// Another number was due here.
    #[error("entry {found} stands where entry {expected} belongs: one was removed, added or moved")]
    Order {
        /// The number that was due.
        expected: u64,
        /// The number that the entry has.
        found: u64,
    },
    /// It does not go on from the entry before.
    #[error("the entry does not follow the one before it")]
    Broken,
    /// The content does not have this hash.
    #[error("the entry was changed after it was written")]
    Changed,
    /// It belongs to somebody else's log.
    #[error("the entry belongs to another log")]
    Foreign,
    /// Entries are missing at the end, or were added there.
    #[error("the log ends at entry {found}, its head says {expected}")]
    End {
        /// What the head says.
        expected: u64,
        /// Where the log ends.
        found: u64,
    },
}

/// Walks a chain from its first entry.
#[derive(Clone, Debug)]
pub struct ChainCheck {
    log: Option<OrganisationId>,
    sequence: u64,
    hash: String,
}

impl Default for ChainCheck {
    fn default() -> Self {
        Self {
            log: None,
            sequence: 0,
            hash: NO_HASH.to_owned(),
        }
    }
}

impl ChainCheck {
    /// Entries that fitted so far.
    pub const fn verified(&self) -> u64 {
        self.sequence
    }

    /// Takes the next entry: its canonical JSON, its hash and the hash before.
    pub fn take(&mut self, entry: &str, hash: &str, previous_hash: &str) -> Result<(), ChainFault> {
        let read: AuditEntry = serde_json::from_str(entry).map_err(|_| ChainFault::Unreadable)?;
        if serde_json::to_string(&read).ok().as_deref() != Some(entry) {
            return Err(ChainFault::Unreadable);
        }
        let expected = self.sequence + 1;
        if read.sequence != expected {
            return Err(ChainFault::Order {
                expected,
                found: read.sequence,
            });
        }
        if *self.log.get_or_insert(read.log) != read.log {
            return Err(ChainFault::Foreign);
        }
        if previous_hash != self.hash {
            return Err(ChainFault::Broken);
        }
        if chain_hash(previous_hash, entry) != hash {
            return Err(ChainFault::Changed);
        }
        self.sequence = expected;
        hash.clone_into(&mut self.hash);
        Ok(())
    }

    /// Compares the end with what the head says.
    pub fn finish(&self, head: &AuditHead) -> Result<(), ChainFault> {
        if self.log.is_some_and(|log| log != head.log) {
            return Err(ChainFault::Foreign);
        }
        if self.sequence != head.sequence {
            return Err(ChainFault::End {
                expected: head.sequence,
                found: self.sequence,
            });
        }
        if self.hash == head.hash {
            Ok(())
        } else {
            Err(ChainFault::Changed)
        }
    }
}
