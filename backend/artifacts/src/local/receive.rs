//! A body on its way in: counted, hashed and on the disk before anybody can see it.

use std::path::Path;

use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempPath};
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
};

use super::blocking;
use crate::{Error, ObjectHash, STEP};

const ACTION: &str = "write an object";
const CHUNK_BYTES: usize = 64 * 1024;

/// A complete file under a temporary name; dropped, it is gone.
pub(super) struct Incoming {
    pub(super) path: TempPath,
    /// Open, and therefore locked, until the file has its name.
    pub(super) file: std::fs::File,
}

/// Writes a body to a temporary file; whatever goes wrong, the file is removed.
pub(super) async fn receive(
    temporary: &Path,
    hash: ObjectHash,
    size_bytes: u64,
    body: &mut (dyn AsyncRead + Send + Unpin),
) -> Result<Incoming, Error> {
    let (file, path) = create(temporary).await?.into_parts();
    let mut file = File::from_std(file);
    tracing::trace!(target: STEP, step = "file made");
    let received = copy(body, &mut file, size_bytes).await?;
    if received != hash {
        return Err(Error::HashMismatch {
            expected: hash,
            received,
        });
    }
    tracing::trace!(target: STEP, step = "bytes written");
    file.sync_all().await.map_err(Error::storage(ACTION))?;
    let file = file.into_std().await;
    Ok(Incoming { path, file })
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

/// Copies at most one byte more than announced, so that a long body costs nothing.
async fn copy(
    body: &mut (dyn AsyncRead + Send + Unpin),
    file: &mut File,
    expected: u64,
) -> Result<ObjectHash, Error> {
    let mut digest = Sha256::new();
    let mut received = 0;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = body.read(&mut chunk).await.map_err(Error::Body)?;
        received += count as u64;
        if received > expected || (count == 0 && received < expected) {
            return Err(Error::SizeMismatch { expected, received });
        }
        if count == 0 {
            break;
        }
        digest.update(&chunk[..count]);
        file.write_all(&chunk[..count])
            .await
            .map_err(Error::storage(ACTION))?;
    }
    file.flush().await.map_err(Error::storage(ACTION))?;
    Ok(ObjectHash::from_digest(digest))
}
