//! Which account's room each job takes, until it has ended.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use shared::JobId;
use tokio::sync::OwnedSemaphorePermit;

/// Clones share it. A job may have ended before whoever asked for it was answered: then it waits here without room.
#[derive(Clone, Default)]
pub(crate) struct Board(Arc<Mutex<HashMap<JobId, Option<OwnedSemaphorePermit>>>>);

impl Board {
    pub(crate) fn created(&self, job: JobId, room: OwnedSemaphorePermit) {
        self.note(job, Some(room));
    }

    pub(crate) fn ended(&self, job: JobId) {
        self.note(job, None);
    }

    /// The second note of a job gives its room back.
    fn note(&self, job: JobId, room: Option<OwnedSemaphorePermit>) {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.remove(&job).is_none() {
            jobs.insert(job, room);
        }
    }
}
