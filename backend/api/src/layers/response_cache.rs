//! Answers that hold until something is written, in bounded memory: a page that asks again, or many that ask for the
//! same, cost no statement and no check of a signature.
//!
//! An answer is for whoever showed the same credential from the same address, in the same organisation, for the same
//! path and query, in the same language. It holds as long as this process has written nothing, so that nobody misses what was said to be
//! done, and a second at the most: so long may what time alone changes (an expiry, a moment in an answer) stand, or
//! what another program writes to the file. Where several servers write to one database nothing is kept.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::http::{Request, uri::PathAndQuery};
use sha2::{Digest, Sha256};
use shared::Timestamp;
use store::Store;

use super::represent::Document;
use crate::app::principal::Principal;

/// Longest life of an answer.
const MILLISECONDS: i64 = 1000;
/// The largest answer that is kept.
const MAX_BODY: usize = 256 * 1024;
/// What an entry takes beside its body: key, caller, headers.
const OVERHEAD: usize = 1024;
/// Headers that name the caller, the place and the reader's language. Others change nothing in a document.
const NAMED: [&str; 4] = ["authorization", "cookie", "organisation", "accept-language"];

type Key = [u8; 32];

/// A document, and who may see it.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) caller: Principal,
    pub(crate) document: Document,
    changes: u64,
    at: Timestamp,
}

fn size(document: &Document) -> usize {
    document.body.len() + OVERHEAD
}

fn key<B>(request: &Request<B>, address: IpAddr) -> Key {
    let mut digest = Sha256::new();
    let place = request.uri().path_and_query();
    digest.update(place.map_or("", PathAndQuery::as_str));
    for name in NAMED {
        // A line break is in no value.
        for value in request.headers().get_all(name) {
            digest.update("\n");
            digest.update(name);
            digest.update(value);
        }
    }
    digest.update("\n");
    match address {
        IpAddr::V4(address) => digest.update(address.octets()),
        IpAddr::V6(address) => digest.update(address.octets()),
    }
    digest.finalize().into()
}

/// A question: taken before anything is read for its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    key: Key,
    changes: u64,
    at: Timestamp,
}

#[derive(Default)]
struct Shelf {
    answers: HashMap<Key, Arc<Kept>>,
    bytes: usize,
}

/// The cache.
pub(crate) struct ResponseCache {
    capacity: usize,
    shelf: Mutex<Shelf>,
}

impl ResponseCache {
    /// Keeps up to `capacity` bytes; nothing with 0.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            shelf: Mutex::default(),
        }
    }

    /// What is asked here, unless nothing is kept.
    pub(crate) fn question<B>(
        &self,
        request: &Request<B>,
        address: IpAddr,
        store: &Store,
        now: Timestamp,
    ) -> Option<Question> {
        if self.capacity == 0 {
            return None;
        }
        Some(Question {
            changes: store.changes()?,
            key: key(request, address),
            at: now,
        })
    }

    /// The answer, if it still holds.
    pub(crate) fn find(&self, question: &Question) -> Option<Arc<Kept>> {
        let kept = self.shelf().answers.get(&question.key).cloned()?;
        let age = question.at.milliseconds() - kept.at.milliseconds();
        let holds = kept.changes == question.changes && (0..MILLISECONDS).contains(&age);
        holds.then_some(kept)
    }

    /// Keeps an answer. All of them are short-lived: where one more has no room, it takes everybody's.
    pub(crate) fn keep(&self, question: &Question, caller: Principal, document: Document) {
        let size = size(&document);
        if document.body.len() > MAX_BODY || size > self.capacity {
            return;
        }
        let kept = Kept {
            caller,
            document,
            changes: question.changes,
            at: question.at,
        };
        let mut shelf = self.shelf();
        if shelf.bytes + size > self.capacity {
            *shelf = Shelf::default();
        }
        shelf.bytes += size;
        if let Some(before) = shelf.answers.insert(question.key, Arc::new(kept)) {
            shelf.bytes -= self::size(&before.document);
        }
    }

    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
