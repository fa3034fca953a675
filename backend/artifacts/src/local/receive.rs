//! A body on its way in: counted, hashed and on the disk before anybody can see it.

use std::{io::Write, path::Path, sync::Arc};

use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempPath};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    task::{self, JoinHandle},
};

use super::blocking;
use crate::{Error, ObjectHash, STEP};

const ACTION: &str = "write an object";
/// Each costs a way to other threads and back.
const CHUNK_BYTES: usize = 512 * 1024;

/// A complete file under a temporary name; dropped, it is gone.
pub(super) struct Incoming {
    pub(super) path: TempPath,
    /// Open, and therefore locked, until the file has its name.
    pub(super) file: Arc<std::fs::File>,
}

/// Writes a body to a temporary file; whatever goes wrong, the file is removed.
pub(super) async fn receive(
    temporary: &Path,
    hash: ObjectHash,
    size_bytes: u64,
    body: &mut (dyn AsyncRead + Send + Unpin),
) -> Result<Incoming, Error> {
    let (file, path) = create(temporary).await?.into_parts();
    let file = Arc::new(file);
    tracing::trace!(target: STEP, step = "file made");
    let received = copy(body, Arc::clone(&file), size_bytes).await?;
    if received != hash {
        return Err(Error::HashMismatch {
            expected: hash,
            received,
        });
    }
    tracing::trace!(target: STEP, step = "bytes written");
    blocking(move || {
        file.sync_all().map_err(Error::storage(ACTION))?;
        Ok(Incoming { path, file })
    })
    .await
}

/// A locked file: the lock tells the next start that somebody is still writing it.
pub(super) async fn create(temporary: &Path) -> Result<NamedTempFile, Error> {
    let temporary = temporary.to_owned();
    blocking(move || {
        let file = NamedTempFile::new_in(temporary).map_err(Error::storage(ACTION))?;
        file.as_file().lock().map_err(Error::storage(ACTION))?;
        Ok(file)
    })
    .await
}

/// Reads until the chunk is full or the body ends: what comes over a line comes in small pieces.
async fn fill(body: &mut (dyn AsyncRead + Send + Unpin), chunk: &mut [u8]) -> Result<usize, Error> {
    let mut filled = 0;
    while filled < chunk.len() {
        match body.read(&mut chunk[filled..]).await.map_err(Error::Body)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// Bytes after which the disk begins to write, so that little is left to wait for at the end.
const WRITTEN_BACK: u64 = 16 * 1024 * 1024;

/// What brings a file's bytes to the disk while more of them come.
struct Writeback {
    file: Arc<std::fs::File>,
    running: Option<JoinHandle<std::io::Result<()>>>,
    begun_at: u64,
}

impl Writeback {
    /// Begins where enough was written and nothing is under way.
    async fn advance(&mut self, written: u64) -> Result<(), Error> {
        let busy = self.running.as_ref().is_some_and(|it| !it.is_finished());
        if busy || written - self.begun_at < WRITTEN_BACK {
            return Ok(());
        }
        self.finish().await?;
        let file = Arc::clone(&self.file);
        self.running = Some(task::spawn_blocking(move || file.sync_data()));
        self.begun_at = written;
        Ok(())
    }

    /// Waits. A failure is told here or nowhere: the system names each only once.
    async fn finish(&mut self) -> Result<(), Error> {
        let Some(running) = self.running.take() else {
            return Ok(());
        };
        let ended = running.await.map_err(std::io::Error::other).flatten();
        ended.map_err(Error::storage(ACTION))
    }
}

/// Where a body's bytes go: two threads take each chunk, one to hash it and one to write it.
struct Intake {
    digest: Sha256,
    file: Arc<std::fs::File>,
}

impl Intake {
    /// Takes a chunk in; gives the buffer back.
    async fn take(mut self, chunk: Vec<u8>, count: usize) -> Result<(Self, Vec<u8>), Error> {
        let chunk = Arc::new(chunk);
        let (file, bytes) = (Arc::clone(&self.file), Arc::clone(&chunk));
        let write = blocking(move || {
            (&*file)
                .write_all(&bytes[..count])
                .map_err(Error::storage(ACTION))
        });
        let bytes = Arc::clone(&chunk);
        let hash = blocking(move || {
            self.digest.update(&bytes[..count]);
            Ok(self)
        });
        let ((), intake) = tokio::try_join!(write, hash)?;
        let chunk = Arc::try_unwrap(chunk).unwrap_or_else(|_| vec![0; CHUNK_BYTES]);
        Ok((intake, chunk))
    }
}

/// Reads at most one byte more than announced, so that a long body costs nothing. While a chunk is taken in, the next
/// one is read.
async fn copy(
    body: &mut (dyn AsyncRead + Send + Unpin),
    file: Arc<std::fs::File>,
    expected: u64,
) -> Result<ObjectHash, Error> {
    let digest = Sha256::new();
    let mut writeback = Writeback {
        file: Arc::clone(&file),
        running: None,
        begun_at: 0,
    };
    let mut intake = Intake { digest, file };
    let mut received = 0;
    let (mut chunk, mut next) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    let room = |received: u64| {
        let rest = usize::try_from(expected - received).unwrap_or(usize::MAX);
        rest.saturating_add(1).min(CHUNK_BYTES)
    };
    let mut count = fill(body, &mut chunk[..room(0)]).await?;
    loop {
        received += count as u64;
        if received > expected || (count == 0 && received < expected) {
            return Err(Error::SizeMismatch { expected, received });
        }
        if count == 0 {
            writeback.finish().await?;
            return Ok(ObjectHash::from_digest(intake.digest));
        }
        writeback.advance(received - count as u64).await?;
        let read = fill(body, &mut next[..room(received)]);
        (count, (intake, chunk)) = tokio::try_join!(read, intake.take(chunk, count))?;
        std::mem::swap(&mut chunk, &mut next);
    }
}
