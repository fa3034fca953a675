//! What clean models drew for earlier jobs, on this node's disk. No protected image is in there.
//!
//! Owns the files and their total size. Losing any of them costs time alone.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    time::SystemTime,
};

use persguard::Cache;

/// Most bytes that are kept.
const ROOM: u64 = 2 << 30;

/// A folder of files, the least recently used of which go first.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
    room: u64,
}

impl Folder {
    /// Uses a folder that is there.
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            room: ROOM,
        }
    }

    /// Makes room by removing what was not used for longest.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.path) else {
            return;
        };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let facts = entry.metadata().ok()?;
                Some((facts.modified().ok()?, facts.len(), entry.path()))
            })
            .collect();
        files.sort();
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in files {
            if total <= self.room {
                return;
            }
            let _ = fs::remove_file(path);
            total -= size;
        }
    }
}

impl Cache for Folder {
    fn get(&self, name: &str) -> Option<Vec<u8>> {
        let path = self.path.join(name);
        let bytes = fs::read(&path).ok()?;
        // Written again, it is the youngest.
        self.put(name, &bytes);
        Some(bytes)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        // Under another name until it is whole: a death in between leaves nothing that looks like a file. Under a name of
        // this process's own: the trainer of another job may keep the same at this moment.
        let part = self.path.join(format!("{name}.{}.part", process::id()));
        let written = fs::write(&part, bytes);
        if written
            .and_then(|()| fs::rename(&part, self.path.join(name)))
            .is_err()
        {
            let _ = fs::remove_file(&part);
        }
        self.sweep();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn files_come_back_and_the_oldest_go_first() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder {
            room: 25,
            ..Folder::new(directory.path())
        };
        for (age, name) in [(30, "a"), (20, "b")] {
            folder.put(name, b"ten bytes.");
            let path = directory.path().join(name);
            let file = fs::File::options().append(true).open(path).unwrap();
            let then = file.metadata().unwrap().modified().unwrap() - Duration::from_secs(age);
            file.set_modified(then).unwrap();
        }
        // Used: now the younger one.
        assert_eq!(folder.get("a").as_deref(), Some(b"ten bytes.".as_slice()));
        folder.put("c", b"ten bytes.");
        assert!(folder.get("b").is_none());
        assert!(folder.get("a").is_some() && folder.get("c").is_some());
    }

    #[test]
    fn a_folder_that_is_gone_costs_nothing_but_time() {
        let folder = Folder::new(Path::new("/nowhere/at/all"));
        folder.put("a", b"x");
        assert!(folder.get("a").is_none());
    }
}
