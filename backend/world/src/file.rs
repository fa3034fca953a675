//! Files that appear only when they are complete.

use std::{fs, io, path::Path};

/// Writes beside the path first, then takes its place.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_extension("partial");
    fs::write(&partial, bytes)?;
    fs::rename(&partial, path)
}
