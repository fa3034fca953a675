//! Objects in a directory: `objects/ab/cdef…`, written elsewhere first and renamed when complete.

mod directory;
mod receive;
mod staging;

pub use staging::{Folder, Staging};

use std::{io::SeekFrom, ops::Range, path::PathBuf};

use tokio::{
    fs,
    io::{AsyncRead, AsyncReadExt, AsyncSeekExt},
    task,
};

use crate::{ArtifactStore, BoxFuture, Error, Object, ObjectHash, ObjectInfo, object_store::cut};

/// Objects in a directory of this machine.
#[derive(Clone, Debug)]
pub struct LocalStore {
    objects: PathBuf,
    temporary: PathBuf,
}

impl LocalStore {
    /// Opens a directory, creates what is missing, and removes what a killed process left half
    /// written. Files that another live process is writing are left alone.
    pub async fn open(root: impl Into<PathBuf>) -> Result<Self, Error> {
        let root = root.into();
        let store = Self {
            objects: root.join("objects"),
            temporary: root.join("temporary"),
        };
        let directories = store.clone();
        blocking(move || {
            directory::create(&directories.objects)?;
            directory::create(&directories.temporary)?;
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
}
