//! What every object store can do.

use std::{fmt, ops::Range};

use shared::Timestamp;
use tokio::io::AsyncRead;

use crate::{Error, ObjectHash};

/// A future that can be sent between threads.
pub type BoxFuture<'a, T> = futures::future::BoxFuture<'a, T>;

/// An object that is being read.
pub struct Object {
    /// Size of the whole object.
    pub size_bytes: u64,
    /// The part that this reader yields.
    pub range: Range<u64>,
    /// Its bytes.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
}

impl fmt::Debug for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Object")
            .field("size_bytes", &self.size_bytes)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

/// An object in a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its key.
    pub hash: ObjectHash,
    /// Its size.
    pub size_bytes: u64,
    /// When it was stored last; a collector spares what is young.
    pub stored_at: Timestamp,
}

/// Immutable objects, addressed by the SHA-256 of their bytes.
pub trait ArtifactStore: fmt::Debug + Send + Sync {
    /// Stores exactly `size_bytes` bytes whose hash is `hash`, all or nothing.
    ///
    /// Reads the body even when the object is there already: knowing a hash proves nothing, having
    /// the bytes does. Safe to repeat, also at the same time.
    fn put<'a>(
        &'a self,
        hash: ObjectHash,
        size_bytes: u64,
        body: &'a mut (dyn AsyncRead + Send + Unpin),
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Size of an object; `None` where there is none.
    fn size(&self, hash: ObjectHash) -> BoxFuture<'_, Result<Option<u64>, Error>>;

    /// Opens an object, or a part of it that is cut at the end; `None` where there is none.
    fn open(
        &self,
        hash: ObjectHash,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'_, Result<Option<Object>, Error>>;

    /// Removes an object; `false` where there was none.
    fn delete(&self, hash: ObjectHash) -> BoxFuture<'_, Result<bool, Error>>;

    /// Every object, in the order of hashes.
    fn list(&self) -> BoxFuture<'_, Result<Vec<ObjectInfo>, Error>>;

    /// Whether an object is there.
    fn exists(&self, hash: ObjectHash) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(async move { Ok(self.size(hash).await?.is_some()) })
    }
}

/// The part of an object that a request means; an object without bytes has no part but all of it.
pub(crate) fn cut(range: Option<&Range<u64>>, size_bytes: u64) -> Result<Range<u64>, Error> {
    let Some(&Range { start, end }) = range else {
        return Ok(0..size_bytes);
    };
    if start >= size_bytes || end <= start {
        return Err(Error::OutOfRange {
            start,
            end,
            size_bytes,
        });
    }
    Ok(start..end.min(size_bytes))
}
