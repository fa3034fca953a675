//! Directories and names: private ones, durable ones, leftovers of killed processes.

use std::{
    fs::{self, DirBuilder, DirEntry, File},
    os::unix::fs::DirBuilderExt,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use shared::Timestamp;

use super::{found, receive::Incoming};
use crate::{Error, ObjectHash, ObjectInfo, STEP};

/// Creates a directory that only this user can enter.
pub(super) fn create(path: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(Error::storage("create a directory"))
}

/// Gives a complete file its name, durably: file first, then both directories.
pub(super) fn publish(incoming: Incoming, target: &Path) -> Result<(), Error> {
    const ACTION: &str = "publish an object";
    let directory = target.parent().expect("an object lies in a prefix");
    create(directory)?;
    tracing::trace!(target: STEP, step = "folder made");
    incoming
        .path
        .persist(target)
        .map_err(|error| Error::storage(ACTION)(error.error))?;
    drop(incoming.file);
    tracing::trace!(target: STEP, step = "object named");
    make_durable(directory)
}

/// Gives a complete and durable file its name as an object; whatever fails, the file is not lost.
pub(super) fn adopt(source: &Path, target: &Path) -> Result<(), Error> {
    let directory = target.parent().expect("an object lies in a prefix");
    create(directory)?;
    fs::rename(source, target).map_err(Error::storage("publish an object"))?;
    make_durable(directory)
}

fn make_durable(directory: &Path) -> Result<(), Error> {
    sync(directory)?;
    directory.parent().map_or(Ok(()), sync)
}

fn sync(directory: &Path) -> Result<(), Error> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(Error::storage("make a name durable"))
}

/// Removes folders that were to be removed, and files that nobody holds locked any more.
pub(super) fn sweep(temporary: &Path) -> Result<(), Error> {
    const ACTION: &str = "remove a half written object";
    for entry in fs::read_dir(temporary).map_err(Error::storage(ACTION))? {
        let path = entry.map_err(Error::storage(ACTION))?.path();
        if path.is_dir() {
            found(fs::remove_dir_all(&path), ACTION)?;
            continue;
        }
        let Some(file) = found(File::open(&path), ACTION)? else {
            continue;
        };
        if file.try_lock().is_ok() {
            found(fs::remove_file(&path), ACTION)?;
            tracing::info!(path = %path.display(), "removed a half written object");
        }
    }
    Ok(())
}

/// Removes the folders in one that were made longer ago than `age`.
pub(super) fn sweep_folders(folders: &Path, age: Duration) -> Result<(), Error> {
    const ACTION: &str = "remove left folders";
    for entry in fs::read_dir(folders).map_err(Error::storage(ACTION))? {
        let entry = entry.map_err(Error::storage(ACTION))?;
        let Some(metadata) = found(entry.metadata(), ACTION)? else {
            continue;
        };
        let modified = metadata.modified().map_err(Error::storage(ACTION))?;
        if modified.elapsed().is_ok_and(|since| since > age) {
            found(fs::remove_dir_all(entry.path()), ACTION)?;
        }
    }
    Ok(())
}

/// Every object below the directory; names that are none are skipped.
pub(super) fn list(objects: &Path) -> Result<Vec<ObjectInfo>, Error> {
    const ACTION: &str = "list objects";
    let mut listed = Vec::new();
    for prefix in fs::read_dir(objects).map_err(Error::storage(ACTION))? {
        let prefix = prefix.map_err(Error::storage(ACTION))?;
        for entry in fs::read_dir(prefix.path()).map_err(Error::storage(ACTION))? {
            let entry = entry.map_err(Error::storage(ACTION))?;
            listed.extend(inspect(&prefix, &entry)?);
        }
    }
    listed.sort_by_key(|info| info.hash);
    Ok(listed)
}

fn inspect(prefix: &DirEntry, entry: &DirEntry) -> Result<Option<ObjectInfo>, Error> {
    let prefix = prefix.file_name();
    let name = entry.file_name();
    let text = prefix.to_str().zip(name.to_str());
    let hash = text.and_then(|(prefix, rest)| format!("{prefix}{rest}").parse().ok());
    hash.map_or(Ok(None), |hash| look(hash, &entry.path()))
}

/// Size and age of an object.
pub(super) fn look(hash: ObjectHash, path: &Path) -> Result<Option<ObjectInfo>, Error> {
    const ACTION: &str = "look at an object";
    let Some(metadata) = found(fs::symlink_metadata(path), ACTION)? else {
        return Ok(None);
    };
    let modified = metadata.modified().map_err(Error::storage(ACTION))?;
    let age = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    let milliseconds = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    Ok(Some(ObjectInfo {
        hash,
        size_bytes: metadata.len(),
        stored_at: Timestamp::from_milliseconds(milliseconds),
    }))
}

/// Makes a file young; `false` where there is none.
#[expect(
    clippy::disallowed_methods,
    reason = "files get their age from the clock of this machine"
)]
pub(super) fn touch(path: &Path) -> Result<bool, Error> {
    const ACTION: &str = "touch an object";
    let file = File::options().append(true).open(path);
    let Some(file) = found(file, ACTION)? else {
        return Ok(false);
    };
    file.set_modified(SystemTime::now())
        .map_err(Error::storage(ACTION))?;
    // Removed between the two lines, it is no object any more.
    Ok(found(fs::symlink_metadata(path), ACTION)?.is_some())
}
