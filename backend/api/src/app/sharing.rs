//! What shared pages may take of the server: strangers draw pictures there, and nobody else waits for them.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::error::Error;

/// Pictures that are drawn at once.
const PICTURES: usize = 2;
/// Archives on their way at once.
const ARCHIVES: usize = 2;
/// How long a picture waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// When whoever was sent away may come back.
const RETRY_SECONDS: u64 = 10;

/// Room for visitors, and the key that signs their passes.
pub(crate) struct Sharing {
    key: [u8; 32],
    pictures: Semaphore,
    archives: Arc<Semaphore>,
}

const fn busy() -> Error {
    Error::RateLimited {
        retry_after_seconds: RETRY_SECONDS,
    }
}

impl Sharing {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self {
            key,
            pictures: Semaphore::new(PICTURES),
            archives: Arc::new(Semaphore::new(ARCHIVES)),
        }
    }

    /// Signs what a browser shows after the password of a page.
    pub(crate) const fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// A turn to draw a picture.
    pub(crate) async fn draw(&self) -> Result<SemaphorePermit<'_>, Error> {
        let turn = timeout(PATIENCE, self.pictures.acquire()).await;
        turn.map_err(|_| busy())?.map_err(Error::internal)
    }

    /// A place for an archive, kept until its last byte.
    pub(crate) fn archive(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.archives)
            .try_acquire_owned()
            .map_err(|_| busy())
    }
}
