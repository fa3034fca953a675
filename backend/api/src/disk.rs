//! How much room there is, and files by which programs keep each other out.

use std::{fs, io, path::Path};

/// Keeps every other program that asks for the same file out, for as long as what this gives is held. `None` where
/// another one holds it.
pub(crate) fn alone(path: &Path) -> io::Result<Option<fs::File>> {
    let file = fs::File::create(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Bytes that whoever is not root may still write where this path lies.
#[cfg(unix)]
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Bytes that may still be written where this path lies.
#[cfg(not(unix))]
pub(crate) fn free_bytes(_: &Path) -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}
