//! What every object store can do.

use std::{fmt, ops::Range, time::Duration};

use shared::Timestamp;
use tokio::io::AsyncRead;

use crate::{Delivery, Error, ObjectHash, Part, SignedRequest, Unfinished, Upload};

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

    /// Makes an object young again, so that no collector takes it; `false` where there is none.
    fn touch(&self, hash: ObjectHash) -> BoxFuture<'_, Result<bool, Error>>;

    /// Size and age of an object; `None` where there is none.
    fn inspect(&self, hash: ObjectHash) -> BoxFuture<'_, Result<Option<ObjectInfo>, Error>>;

    /// An address from which somebody may fetch an object; `None` where whoever serves this store must give one.
    fn sign_get(
        &self,
        hash: ObjectHash,
        lifetime: Duration,
    ) -> BoxFuture<'_, Result<Option<SignedRequest>, Error>>;

    /// A request with which somebody may send a whole object; `None` where whoever serves this store must take it.
    ///
    /// What arrives is no object before it was accepted.
    fn sign_put<'a>(
        &'a self,
        delivery: &'a Delivery,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Option<SignedRequest>, Error>>;

    /// Makes what was sent an object, once its bytes are known to be the right ones; `false` where nothing was sent.
    ///
    /// Wrong bytes are removed. Whoever comes second is told that nothing was sent: the object is there, but knowing
    /// its hash proves nothing.
    fn accept<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<bool, Error>>;

    /// Begins a delivery in parts.
    fn begin<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<Upload, Error>>;

    /// A request with which somebody may send a part, as [`Self::sign_put`].
    fn sign_part<'a>(
        &'a self,
        upload: &'a Upload,
        number: u32,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Option<SignedRequest>, Error>>;

    /// Stores a part; a repeat replaces it.
    fn write_part<'a>(
        &'a self,
        upload: &'a Upload,
        number: u32,
        bytes: bytes::Bytes,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// The parts that arrived, in order.
    fn parts<'a>(&'a self, upload: &'a Upload) -> BoxFuture<'a, Result<Vec<Part>, Error>>;

    /// Makes the parts an object; wrong bytes are removed, missing ones may still come.
    ///
    /// Safe to repeat, also at the same time: whoever comes second finds the object.
    fn complete<'a>(&'a self, upload: &'a Upload) -> BoxFuture<'a, Result<(), Error>>;

    /// Gives a delivery in parts up; one that is gone is given up already.
    fn abort<'a>(&'a self, upload: &'a Upload) -> BoxFuture<'a, Result<(), Error>>;

    /// Everything that was begun and never became an object.
    fn unfinished(&self) -> BoxFuture<'_, Result<Vec<Unfinished>, Error>>;

    /// Removes something unfinished; what is gone is removed already.
    fn remove<'a>(&'a self, unfinished: &'a Unfinished) -> BoxFuture<'a, Result<(), Error>>;

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
