//! Files on their way in over many requests, and folders of stored objects for a program that wants names.
//!
//! A partial file is the truth about what arrived: it survives a broken line and a restart. It is hashed on the way;
//! only a restart in the middle makes its hash be read from the disk again.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::{LocalStore, blocking, directory, found};
use crate::{Error, ObjectHash};

const CHUNK_BYTES: usize = 256 * 1024;
const WRITE: &str = "write a partial file";
/// Nobody looks into a folder for so long.
const FOLDER_AGE: Duration = Duration::from_hours(1);
/// A child is forked and runs its program within less than the product of these.
const FORK_TRIES: u32 = 20;
const FORK_PAUSE: Duration = Duration::from_millis(10);

/// The hash of a partial file's first bytes.
struct Running {
    /// Which file: another one may have its name meanwhile.
    file: Identity,
    digest: Sha256,
    length: u64,
}

/// A file beneath its name. Numbers are used again, so that the moment when it was made belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    made: Option<SystemTime>,
}

impl Identity {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            made: metadata.created().ok(),
        }
    }
}

/// A partial file that nobody else writes to.
struct Held {
    file: File,
    identity: Identity,
    length: u64,
}

/// Partial files beside a local store. Clones share everything.
#[derive(Clone)]
pub struct Staging {
    store: LocalStore,
    partial: PathBuf,
    folders: PathBuf,
    running: Arc<Mutex<HashMap<String, Running>>>,
}

impl std::fmt::Debug for Staging {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Staging")
            .field("partial", &self.partial)
            .finish_non_exhaustive()
    }
}

/// A folder of stored objects under names of the caller's; dropped, it is gone and the objects stay.
#[derive(Debug)]
pub struct Folder(TempDir);

impl Folder {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl LocalStore {
    /// Opens the place for partial files; folders that a killed process left an hour ago are removed. Younger ones may be
    /// another server's.
    pub async fn staging(&self) -> Result<Staging, Error> {
        let root = self.objects.parent().unwrap_or(&self.objects).to_owned();
        let staging = Staging {
            store: self.clone(),
            partial: root.join("partial"),
            folders: root.join("folders"),
            running: Arc::default(),
        };
        let (partial, folders) = (staging.partial.clone(), staging.folders.clone());
        blocking(move || {
            directory::create(&partial)?;
            directory::create(&folders)?;
            directory::sweep_folders(&folders, FOLDER_AGE)
        })
        .await?;
        Ok(staging)
    }
}

impl Staging {
    /// Where a partial file lies. Keys are letters, digits, `_` and `-`.
    fn path(&self, key: &str) -> Result<PathBuf, Error> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if key.is_empty() || key.len() > 100 || !key.bytes().all(plain) {
            let source = std::io::Error::other(format!("{key:?} is no key"));
            return Err(Error::storage("name a partial file")(source));
        }
        Ok(self.partial.join(key))
    }

    /// How many bytes of a file are here.
    pub async fn received(&self, key: &str) -> Result<u64, Error> {
        let metadata = tokio::fs::metadata(self.path(key)?).await;
        Ok(found(metadata, "look at a partial file")?.map_or(0, |metadata| metadata.len()))
    }

    /// Adds a body to a file that holds exactly `offset` bytes, up to `limit` bytes in all; gives the new length.
    ///
    /// What arrived before the body broke off or became too long is kept. [`Error::WrongOffset`] where the file has
    /// another length, [`Error::Busy`] while another body is being added.
    pub async fn append(
        &self,
        key: &str,
        offset: u64,
        limit: u64,
        body: &mut (dyn AsyncRead + Send + Unpin),
    ) -> Result<u64, Error> {
        let held = self.open(key).await?;
        if held.length != offset {
            return Err(Error::WrongOffset {
                received: held.length,
            });
        }
        let mut running = self.take(key, &held);
        let mut file = tokio::fs::File::from_std(held.file);
        let result = copy(body, &mut file, &mut running, limit).await;
        // Bytes in flight must be counted before another request asks for the length.
        file.flush().await.map_err(Error::storage(WRITE))?;
        let length = running.as_ref().map(|running| running.length);
        if let Some(running) = running {
            self.lock().insert(key.to_owned(), running);
        }
        result?;
        match length {
            Some(length) => Ok(length),
            None => self.received(key).await,
        }
    }

    /// Makes a complete file an object; a file with another hash is removed and must be sent again.
    pub async fn publish(
        &self,
        key: &str,
        size_bytes: u64,
        expected: Option<ObjectHash>,
    ) -> Result<ObjectHash, Error> {
        let held = self.open(key).await?;
        if held.length != size_bytes {
            return Err(Error::SizeMismatch {
                expected: size_bytes,
                received: held.length,
            });
        }
        let known = self.take(key, &held);
        let known = known.map(|running| ObjectHash::from_digest(running.digest));
        let (source, store) = (self.path(key)?, self.store.clone());
        blocking(move || {
            let received = match known {
                Some(hash) => hash,
                None => hash(&source)?,
            };
            if let Some(expected) = expected.filter(|expected| *expected != received) {
                fs::remove_file(&source).map_err(Error::storage("remove a wrong file"))?;
                return Err(Error::HashMismatch { expected, received });
            }
            held.file.sync_all().map_err(Error::storage(WRITE))?;
            directory::adopt(&source, &store.path(received))?;
            Ok(received)
        })
        .await
    }

    /// Forgets a partial file; one that is not there is forgotten already. [`Error::Busy`] while a body is being added:
    /// its writer would go on with a file that has no name.
    pub async fn discard(&self, key: &str) -> Result<(), Error> {
        let path = self.path(key)?;
        if !tokio::fs::try_exists(&path).await.unwrap_or(true) {
            self.lock().remove(key);
            return Ok(());
        }
        let held = self.open(key).await?;
        self.lock().remove(key);
        let removed = tokio::fs::remove_file(path).await;
        drop(held);
        found(removed, "remove a partial file")?;
        Ok(())
    }

    /// The keys of every partial file.
    pub async fn keys(&self) -> Result<Vec<String>, Error> {
        const ACTION: &str = "list partial files";
        let partial = self.partial.clone();
        blocking(move || {
            let mut keys = Vec::new();
            for entry in fs::read_dir(&partial).map_err(Error::storage(ACTION))? {
                let name = entry.map_err(Error::storage(ACTION))?.file_name();
                keys.extend(name.into_string().ok());
            }
            keys.sort();
            Ok(keys)
        })
        .await
    }

    /// A folder in which stored objects have these relative paths, without a copy of their bytes.
    pub async fn lay_out(&self, files: Vec<(String, ObjectHash)>) -> Result<Folder, Error> {
        const ACTION: &str = "lay out a folder";
        let (store, folders) = (self.store.clone(), self.folders.clone());
        blocking(move || {
            let folder = TempDir::new_in(folders).map_err(Error::storage(ACTION))?;
            for (name, hash) in files {
                let inside = Path::new(&name)
                    .components()
                    .all(|part| matches!(part, Component::Normal(_)));
                if !inside || name.is_empty() {
                    let source = std::io::Error::other(format!("{name:?} leaves its folder"));
                    return Err(Error::storage(ACTION)(source));
                }
                let target = folder.path().join(name);
                directory::create(target.parent().unwrap_or(&target))?;
                fs::hard_link(store.path(hash), target).map_err(Error::storage(ACTION))?;
            }
            Ok(Folder(folder))
        })
        .await
    }

    /// The file, locked for this writer.
    async fn open(&self, key: &str) -> Result<Held, Error> {
        let path = self.path(key)?;
        blocking(move || {
            let mut options = OpenOptions::new();
            options.create(true).append(true).mode(0o600);
            let mut tries = 0;
            loop {
                let file = options.open(&path).map_err(Error::storage(WRITE))?;
                // Whatever is open here is open in a child, too, from its fork to its own program: a lock that was let go
                // stays for as long.
                if file.try_lock().is_ok() {
                    let own = file.metadata().map_err(Error::storage(WRITE))?;
                    let named = found(fs::metadata(&path), WRITE)?;
                    let identity = Identity::of(&own);
                    // Whoever held the lock before may have removed or published it.
                    if named.is_some_and(|named| Identity::of(&named) == identity) {
                        return Ok(Held {
                            file,
                            identity,
                            length: own.len(),
                        });
                    }
                }
                tries += 1;
                if tries > FORK_TRIES {
                    return Err(Error::Busy);
                }
                std::thread::sleep(FORK_PAUSE);
            }
        })
        .await
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hash of the file's bytes, if somebody kept it.
    fn take(&self, key: &str, held: &Held) -> Option<Running> {
        let kept = self.lock().remove(key);
        if held.length == 0 {
            return Some(Running {
                file: held.identity,
                digest: Sha256::new(),
                length: 0,
            });
        }
        // Without the moment when it was made, a number may be another file's: it is read again.
        kept.filter(|running| {
            running.length == held.length
                && running.file == held.identity
                && held.identity.made.is_some()
        })
    }
}

async fn copy(
    body: &mut (dyn AsyncRead + Send + Unpin),
    file: &mut tokio::fs::File,
    running: &mut Option<Running>,
    limit: u64,
) -> Result<(), Error> {
    let mut length = file.metadata().await.map_err(Error::storage(WRITE))?.len();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = body.read(&mut chunk).await.map_err(Error::Body)?;
        if count == 0 {
            return Ok(());
        }
        let received = length + count as u64;
        if received > limit {
            return Err(Error::SizeMismatch {
                expected: limit,
                received,
            });
        }
        if let Err(error) = file.write_all(&chunk[..count]).await {
            *running = None; // nobody knows how much of it is in the file
            return Err(Error::storage(WRITE)(error));
        }
        length = received;
        if let Some(running) = running {
            running.digest.update(&chunk[..count]);
            running.length = length;
        }
    }
}

fn hash(path: &Path) -> Result<ObjectHash, Error> {
    use std::io::Read;
    const ACTION: &str = "read a partial file";
    let mut file = File::open(path).map_err(Error::storage(ACTION))?;
    let mut digest = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = file.read(&mut chunk).map_err(Error::storage(ACTION))?;
        if count == 0 {
            return Ok(ObjectHash::from_digest(digest));
        }
        digest.update(&chunk[..count]);
    }
}
