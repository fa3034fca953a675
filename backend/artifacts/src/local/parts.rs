//! Deliveries in parts: `uploads/<delivery>~<attempt>/00001`, joined when complete.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use shared::Timestamp;

use super::{LocalStore, blocking, directory, found, receive};
use crate::{ArtifactStore, Delivery, Error, ObjectHash, Part, STEP, Unfinished, Upload};

const ACTION: &str = "write a part";
const JOIN: &str = "join parts";

impl LocalStore {
    fn folder(&self, upload: &Upload) -> Result<PathBuf, Error> {
        let plain = upload.id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !plain || upload.id.len() != 16 {
            return Err(Error::NoUpload);
        }
        let name = format!("{}~{}", upload.delivery.name()?, upload.id);
        Ok(self.uploads.join(name))
    }

    pub(super) async fn begin_upload(&self, delivery: &Delivery) -> Result<Upload, Error> {
        let random = getrandom::u64().map_err(|error| Error::Storage {
            action: "name an upload",
            source: io::Error::other(error),
        })?;
        let upload = Upload {
            delivery: delivery.clone(),
            id: format!("{random:016x}"),
        };
        let folder = self.folder(&upload)?;
        blocking(move || directory::create(&folder)).await?;
        tracing::trace!(target: STEP, step = "begun");
        Ok(upload)
    }

    pub(super) async fn store_part(
        &self,
        upload: &Upload,
        number: u32,
        bytes: Bytes,
    ) -> Result<(), Error> {
        let expected = upload.delivery.part_size(number).unwrap_or_default();
        if expected != bytes.len() as u64 {
            let received = bytes.len() as u64;
            return Err(Error::SizeMismatch { expected, received });
        }
        let (folder, file) = (
            self.folder(upload)?,
            receive::create(&self.temporary).await?,
        );
        blocking(move || {
            file.as_file()
                .write_all(&bytes)
                .map_err(Error::storage(ACTION))?;
            tracing::trace!(target: STEP, step = "part written");
            file.as_file().sync_all().map_err(Error::storage(ACTION))?;
            let kept = file.persist(folder.join(format!("{number:05}")));
            tracing::trace!(target: STEP, step = "part named");
            match kept {
                Err(error) if error.error.kind() == io::ErrorKind::NotFound => Err(Error::NoUpload),
                Err(error) => Err(Error::storage(ACTION)(error.error)),
                Ok(_) => Ok(()),
            }
        })
        .await
    }

    pub(super) async fn stored_parts(&self, upload: &Upload) -> Result<Vec<Part>, Error> {
        let folder = self.folder(upload)?;
        blocking(move || parts(&folder)).await
    }

    pub(super) async fn join(&self, upload: &Upload) -> Result<(), Error> {
        let joined = self.join_once(upload).await;
        let Delivery {
            hash, size_bytes, ..
        } = upload.delivery;
        match joined {
            // Completed before, or by somebody else at the same time.
            Err(Error::NoUpload) if self.size(hash).await? == Some(size_bytes) => Ok(()),
            outcome => outcome,
        }
    }

    async fn join_once(&self, upload: &Upload) -> Result<(), Error> {
        let folder = self.folder(upload)?;
        let delivery = upload.delivery.clone();
        let target = self.path(delivery.hash);
        let file = receive::create(&self.temporary).await?;
        let temporary = self.temporary.clone();
        blocking(move || {
            let received = parts(&folder)?;
            let sum = received.iter().map(|part| part.size_bytes).sum();
            if sum != delivery.size_bytes || received.len() != delivery.parts() as usize {
                return Err(Error::SizeMismatch {
                    expected: delivery.size_bytes,
                    received: sum,
                });
            }
            let hash = concatenate(&folder, &received, file.as_file())?;
            if hash != delivery.hash {
                remove(&folder, &temporary)?;
                return Err(Error::HashMismatch {
                    expected: delivery.hash,
                    received: hash,
                });
            }
            file.as_file().sync_all().map_err(Error::storage(JOIN))?;
            let (file, path) = file.into_parts();
            let file = Arc::new(file);
            directory::publish(receive::Incoming { path, file }, &target)?;
            tracing::trace!(target: STEP, step = "parts joined");
            remove(&folder, &temporary)
        })
        .await
    }

    pub(super) async fn give_up(&self, upload: &Upload) -> Result<(), Error> {
        let (folder, temporary) = (self.folder(upload)?, self.temporary.clone());
        blocking(move || remove(&folder, &temporary)).await
    }

    pub(super) async fn list_uploads(&self) -> Result<Vec<Unfinished>, Error> {
        let uploads = self.uploads.clone();
        blocking(move || list(&uploads)).await
    }

    pub(super) async fn remove_upload(&self, unfinished: &Unfinished) -> Result<(), Error> {
        let (name, id) = unfinished.place.split_once('~').ok_or(Error::NoUpload)?;
        let delivery = Delivery::from_name(name).ok_or(Error::NoUpload)?;
        let id = id.to_owned();
        self.give_up(&Upload { delivery, id }).await
    }
}

fn parts(folder: &Path) -> Result<Vec<Part>, Error> {
    const ACTION: &str = "list parts";
    let entries = found(fs::read_dir(folder), ACTION)?.ok_or(Error::NoUpload)?;
    let mut parts = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::storage(ACTION))?;
        let number = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let metadata = found(entry.metadata(), ACTION)?.ok_or(Error::NoUpload)?;
        parts.extend(number.map(|number| Part {
            number,
            size_bytes: metadata.len(),
        }));
    }
    parts.sort_by_key(|part| part.number);
    Ok(parts)
}

fn concatenate(folder: &Path, parts: &[Part], mut target: &File) -> Result<ObjectHash, Error> {
    let mut digest = Sha256::new();
    let mut chunk = vec![0; 256 * 1024];
    for part in parts {
        let path = folder.join(format!("{:05}", part.number));
        let mut source = found(File::open(path), JOIN)?.ok_or(Error::NoUpload)?;
        loop {
            let count = source.read(&mut chunk).map_err(Error::storage(JOIN))?;
            if count == 0 {
                break;
            }
            digest.update(&chunk[..count]);
            target
                .write_all(&chunk[..count])
                .map_err(Error::storage(JOIN))?;
        }
    }
    Ok(ObjectHash::from_digest(digest))
}

/// Removes a delivery's folder; all of it at once for who looks meanwhile: half of its parts would be a wrong size.
fn remove(folder: &Path, temporary: &Path) -> Result<(), Error> {
    const ACTION: &str = "remove parts";
    tracing::trace!(target: STEP, step = "parts go");
    let away = temporary.join(folder.file_name().unwrap_or_default());
    if found(fs::rename(folder, &away), ACTION)?.is_some() {
        tracing::trace!(target: STEP, step = "parts away");
        found(fs::remove_dir_all(&away), ACTION)?;
    }
    Ok(())
}

fn list(uploads: &Path) -> Result<Vec<Unfinished>, Error> {
    const ACTION: &str = "list uploads";
    let mut found_uploads = Vec::new();
    for entry in fs::read_dir(uploads).map_err(Error::storage(ACTION))? {
        let entry = entry.map_err(Error::storage(ACTION))?;
        let Some(metadata) = found(entry.metadata(), ACTION)? else {
            continue;
        };
        let modified = metadata.modified().map_err(Error::storage(ACTION))?;
        let age = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let milliseconds = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        found_uploads.extend(
            entry
                .file_name()
                .into_string()
                .ok()
                .map(|place| Unfinished {
                    started_at: Timestamp::from_milliseconds(milliseconds),
                    place,
                    id: None,
                }),
        );
    }
    Ok(found_uploads)
}
