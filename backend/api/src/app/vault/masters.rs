//! Master keys: files of 32 bytes in one folder, the newest of which wraps.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use super::seal::Key;
use crate::secret;

const SUFFIX: &str = "key";

/// The master keys at hand, by the names that rows know them by.
pub(crate) struct Masters {
    folder: PathBuf,
    /// Sorted by their numbers: `0001-1f2e3d4c5b6a7980`.
    keys: RwLock<BTreeMap<String, Key>>,
}

fn name(number: usize, key: &Key) -> String {
    format!("{number:04}-{}", &secret::sha256_hex(&key.0)[..16])
}

fn read(folder: &Path) -> io::Result<BTreeMap<String, Key>> {
    let mut keys = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == SUFFIX) {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            keys.insert(name.into_owned(), Key(secret::load_or_create(&path)?));
        }
    }
    Ok(keys)
}

fn make(folder: &Path, number: usize) -> io::Result<(String, Key)> {
    let key = Key(secret::random_bytes());
    let name = name(number, &key);
    secret::write_private(&folder.join(format!("{name}.{SUFFIX}")), &key.0)?;
    Ok((name, key))
}

impl Masters {
    /// Opens the folder; makes it with a first key where it is empty.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // A mounted secret may refuse: its own permissions hold.
            let _ = fs::set_permissions(&folder, fs::Permissions::from_mode(0o700));
        }
        let mut keys = read(&folder)?;
        if keys.is_empty() {
            keys.extend([make(&folder, 1)?]);
        }
        Ok(Self {
            folder,
            keys: RwLock::new(keys),
        })
    }

    /// The key that wraps, with its name.
    pub(super) fn newest(&self) -> (String, Key) {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let newest = keys.last_key_value().expect("there is always one");
        (newest.0.clone(), newest.1.clone())
    }

    /// A key by its name; looks into the folder again, because another process may have added it.
    pub(super) fn find(&self, name: &str) -> io::Result<Option<Key>> {
        let known = |keys: &BTreeMap<String, Key>| keys.get(name).cloned();
        let found = known(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        if found.is_some() {
            return Ok(found);
        }
        let again = read(&self.folder)?;
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.extend(again);
        Ok(known(&keys))
    }

    /// Adds a key, which wraps from now on.
    pub(super) fn add(&self) -> io::Result<()> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let number = |name: &String| name.split_once('-')?.0.parse().ok();
        let last: usize = keys.keys().filter_map(number).max().unwrap_or(0);
        keys.extend([make(&self.folder, last + 1)?]);
        Ok(())
    }

    /// Removes every key but the newest; for when no row names them any more.
    pub(super) fn keep_newest(&self) -> io::Result<()> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        while keys.len() > 1
            && let Some((name, _)) = keys.pop_first()
        {
            fs::remove_file(self.folder.join(format!("{name}.{SUFFIX}")))?;
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
        let (name, key) = first.newest();
        let second = Masters::open(place.clone()).unwrap();
        assert_eq!(second.newest().0, name);
        second.add().unwrap();
        let (newer, _) = second.newest();
        assert!(newer > name, "{newer} follows {name}");
        assert_eq!(first.find(&newer).unwrap().unwrap().0, second.newest().1.0);
        assert_eq!(second.find(&name).unwrap().unwrap().0, key.0);
        second.keep_newest().unwrap();
        assert!(
            Masters::open(place.clone())
                .unwrap()
                .find(&name)
                .unwrap()
                .is_none()
        );
        fs::write(place.join("0009-bad.key"), "short").unwrap();
        assert!(
            Masters::open(place).is_err(),
            "a damaged key is told, not replaced"
        );
    }
}
