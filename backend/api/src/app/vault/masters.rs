//! Master keys: files of 32 bytes in one folder, the newest of which wraps.
//!
//! The folder is asked each time: another process may have added a key since, and removed those before it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::seal::Key;
use crate::{disk, secret};

const SUFFIX: &str = "key";
/// Locked while keys are renewed.
const ROTATION: &str = "rotation.lock";

/// The folder, in which rows know a key by its name: `0001-1f2e3d4c5b6a7980`, sorted by the number.
pub(crate) struct Masters {
    folder: PathBuf,
}

/// A key with its name.
pub(super) struct Master {
    pub(super) name: String,
    pub(super) key: Key,
}

/// Names of the keys of a folder, oldest first.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == SUFFIX) {
            let name = path.file_stem().unwrap_or_default();
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

impl Masters {
    /// Opens the folder; makes it with a first key where it is empty. A damaged key is refused.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // A mounted secret may refuse: its own permissions hold.
            let _ = fs::set_permissions(&folder, fs::Permissions::from_mode(0o700));
        }
        let masters = Self { folder };
        let names = names(&masters.folder)?;
        if names.is_empty() {
            masters.add()?;
        }
        for name in names {
            masters.find(&name)?;
        }
        Ok(masters)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.{SUFFIX}"))
    }

    /// The key that wraps now.
    pub(super) fn newest(&self) -> io::Result<Master> {
        let none = || io::Error::new(io::ErrorKind::NotFound, "there is no master key");
        let name = names(&self.folder)?.pop().ok_or_else(none)?;
        let key = self.find(&name)?.ok_or_else(none)?;
        Ok(Master { name, key })
    }

    /// A key by its name; `None` where there is no such key any more.
    pub(super) fn find(&self, name: &str) -> io::Result<Option<Key>> {
        Ok(secret::load(&self.path(name))?.map(Key))
    }

    /// Adds a key, which wraps from now on.
    pub(super) fn add(&self) -> io::Result<()> {
        let number = |name: String| name.split_once('-')?.0.parse().ok();
        let names = names(&self.folder)?.into_iter();
        let last: usize = names.filter_map(number).max().unwrap_or(0);
        let key: [u8; 32] = secret::random_bytes();
        let name = format!("{:04}-{}", last + 1, &secret::sha256_hex(&key)[..16]);
        secret::write_private(&self.path(&name), &key)
    }

    /// Keeps every other rotation out, of any process that has this folder, for as long as what this gives is held.
    /// `None` where one is under way.
    pub(super) fn alone(&self) -> io::Result<Option<fs::File>> {
        disk::alone(&self.folder.join(ROTATION))
    }

    /// Removes every key before this one; for when no row names them any more.
    pub(super) fn remove_before(&self, newest: &str) -> io::Result<()> {
        for name in names(&self.folder)? {
            if name.as_str() < newest {
                fs::remove_file(self.path(&name))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_found_by_name_and_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("master-keys");
        let first = Masters::open(place.clone()).unwrap();
        let Master { name, key } = first.newest().unwrap();
        let second = Masters::open(place.clone()).unwrap();
        assert_eq!(second.newest().unwrap().name, name);
        second.add().unwrap();
        let newer = second.newest().unwrap();
        assert!(newer.name > name, "{} follows {name}", newer.name);
        assert_eq!(first.find(&newer.name).unwrap().unwrap().0, newer.key.0);
        assert_eq!(second.find(&name).unwrap().unwrap().0, key.0);
        second.remove_before(&newer.name).unwrap();
        assert_eq!(
            first.newest().unwrap().name,
            newer.name,
            "who opened before sees it"
        );
        assert!(
            Masters::open(place.clone())
                .unwrap()
                .find(&name)
                .unwrap()
                .is_none()
        );
        let rotation = first.alone().unwrap().expect("nobody else rotates");
        assert!(second.alone().unwrap().is_none(), "one at a time");
        drop(rotation);
        assert!(second.alone().unwrap().is_some());
        fs::write(place.join("0009-bad.key"), "short").unwrap();
        assert!(
            Masters::open(place).is_err(),
            "a damaged key is told, not replaced"
        );
    }
}
