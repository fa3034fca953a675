//! Objects in a directory: `objects/ab/cdef…`, written elsewhere first and renamed when complete.

mod directory;
mod parts;
mod receive;
mod staging;

pub use staging::{Folder, Staging};

use std::{io::SeekFrom, ops::Range, path::PathBuf, time::Duration};

use bytes::Bytes;
use tokio::{
    fs,
    io::{AsyncRead, AsyncReadExt, AsyncSeekExt},
    task,
};

use crate::{
    ArtifactStore, BoxFuture, Delivery, Error, Object, ObjectHash, ObjectInfo, Part, SignedRequest,
    Unfinished, Upload, object_store::cut,
};

/// Objects in a directory of this machine.
#[derive(Clone, Debug)]
pub struct LocalStore {
    objects: PathBuf,
    temporary: PathBuf,
    uploads: PathBuf,
}

impl LocalStore {
    /// Opens a directory, creates what is missing, and removes what a killed process left half
    /// written. Files that another live process is writing are left alone.
    pub async fn open(root: impl Into<PathBuf>) -> Result<Self, Error> {
        let root = root.into();
        let store = Self {
            objects: root.join("objects"),
            temporary: root.join("temporary"),
            uploads: root.join("uploads"),
        };
        let directories = store.clone();
        blocking(move || {
            directory::create(&directories.objects)?;
            directory::create(&directories.temporary)?;
            directory::create(&directories.uploads)?;
            directory::sweep(&directories.temporary)
        })
        .await?;
        Ok(store)
    }

    fn path(&self, hash: ObjectHash) -> PathBuf {
        let text = hash.to_string();
        let (prefix, rest) = text.split_at(2);
        self.objects.join(prefix).join(rest)
    }
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Storage {
            action: "finish file work",
            source: std::io::Error::other(error),
        })?
}

/// `None` where the file does not exist.
fn found<T>(result: std::io::Result<T>, action: &'static str) -> Result<Option<T>, Error> {
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some).map_err(Error::storage(action)),
    }
}

impl ArtifactStore for LocalStore {
    fn put<'a>(
        &'a self,
        hash: ObjectHash,
        size_bytes: u64,
        body: &'a mut (dyn AsyncRead + Send + Unpin),
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let incoming = receive::receive(&self.temporary, hash, size_bytes, body).await?;
            let target = self.path(hash);
            blocking(move || directory::publish(incoming, &target)).await
        })
    }

    fn size(&self, hash: ObjectHash) -> BoxFuture<'_, Result<Option<u64>, Error>> {
        Box::pin(async move {
            let metadata = found(fs::metadata(self.path(hash)).await, "look at an object")?;
            Ok(metadata.map(|metadata| metadata.len()))
        })
    }

    fn open(
        &self,
        hash: ObjectHash,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'_, Result<Option<Object>, Error>> {
        const ACTION: &str = "open an object";
        Box::pin(async move {
            let Some(mut file) = found(fs::File::open(self.path(hash)).await, ACTION)? else {
                return Ok(None);
            };
            let metadata = file.metadata().await.map_err(Error::storage(ACTION))?;
            let size_bytes = metadata.len();
            let range = cut(range.as_ref(), size_bytes)?;
            file.seek(SeekFrom::Start(range.start))
                .await
                .map_err(Error::storage(ACTION))?;
            let reader = Box::new(file.take(range.end - range.start));
            Ok(Some(Object {
                size_bytes,
                range,
                reader,
            }))
        })
    }

    fn delete(&self, hash: ObjectHash) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(async move {
            let removed = fs::remove_file(self.path(hash)).await;
            Ok(found(removed, "delete an object")?.is_some())
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<ObjectInfo>, Error>> {
        let objects = self.objects.clone();
        Box::pin(blocking(move || directory::list(&objects)))
    }

    fn touch(&self, hash: ObjectHash) -> BoxFuture<'_, Result<bool, Error>> {
        let path = self.path(hash);
        Box::pin(blocking(move || directory::touch(&path)))
    }

    fn inspect(&self, hash: ObjectHash) -> BoxFuture<'_, Result<Option<ObjectInfo>, Error>> {
        let path = self.path(hash);
        Box::pin(blocking(move || directory::look(hash, &path)))
    }

    fn sign_get(
        &self,
        _: ObjectHash,
        _: Duration,
    ) -> BoxFuture<'_, Result<Option<SignedRequest>, Error>> {
        Box::pin(async { Ok(None) })
    }

    fn sign_put<'a>(
        &'a self,
        _: &'a Delivery,
        _: Duration,
    ) -> BoxFuture<'a, Result<Option<SignedRequest>, Error>> {
        Box::pin(async { Ok(None) })
    }

    fn accept<'a>(&'a self, _: &'a Delivery) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async { Ok(false) })
    }

    fn begin<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<Upload, Error>> {
        Box::pin(self.begin_upload(delivery))
    }

    fn sign_part<'a>(
        &'a self,
        _: &'a Upload,
        _: u32,
        _: Duration,
    ) -> BoxFuture<'a, Result<Option<SignedRequest>, Error>> {
        Box::pin(async { Ok(None) })
    }

    fn write_part<'a>(
        &'a self,
        upload: &'a Upload,
        number: u32,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.store_part(upload, number, bytes))
    }

    fn parts<'a>(&'a self, upload: &'a Upload) -> BoxFuture<'a, Result<Vec<Part>, Error>> {
        Box::pin(self.stored_parts(upload))
    }

    fn complete<'a>(&'a self, upload: &'a Upload) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.join(upload))
    }

    fn abort<'a>(&'a self, upload: &'a Upload) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.give_up(upload))
    }

    fn unfinished(&self) -> BoxFuture<'_, Result<Vec<Unfinished>, Error>> {
        Box::pin(self.list_uploads())
    }

    fn remove<'a>(&'a self, unfinished: &'a Unfinished) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.remove_upload(unfinished))
    }
}
