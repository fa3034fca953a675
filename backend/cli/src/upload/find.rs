//! What a folder holds, with the folders inside it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use client::UploadFile;
use shared::{limits::MAX_IMAGES, upload::is_clutter};

use crate::failure::Failure;

/// Folders inside folders inside … are looked into so far.
const DEPTH: usize = 16;
/// More files than anybody means.
const MOST_FILES: usize = 10_000;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Pictures and archives.
    pub(super) files: Vec<UploadFile>,
    /// Names, and why they are left out.
    pub(super) others: Vec<(String, String)>,
}

impl Found {
    /// How many files are pictures.
    pub(super) fn pictures(&self) -> usize {
        self.files.iter().filter(|file| !file.is_archive()).count()
    }
}

/// Whether a file in an archive was meant as a picture.
pub(super) fn is_picture_name(name: &str) -> bool {
    let end = Path::new(name).extension().unwrap_or_default();
    ["jpg", "jpeg", "png", "webp", "tif", "tiff"]
        .iter()
        .any(|known| end.eq_ignore_ascii_case(known))
}

fn walk(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |error| Failure::Here(format!("{}: {error}", folder.display()));
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (name, path) = (entry.file_name(), entry.path());
        if is_clutter(&name.to_string_lossy()) {
            continue;
        }
        // A link to a folder may lead in a circle; one to a file does not.
        if entry.file_type().map_err(failed)?.is_dir() {
            if depth < DEPTH {
                walk(&path, depth + 1, paths)?;
            }
        } else if path.is_file() {
            paths.push(path);
        }
        if paths.len() > MOST_FILES {
            let folder = folder.display();
            return Err(Failure::Usage(format!(
                "{folder} and the folders around it hold more than {MOST_FILES} files. Name the one with the pictures."
            )));
        }
    }
    Ok(())
}

/// Pictures and archives at a path, by name; no more are read than show that there are too many.
pub(super) fn find(path: &Path) -> Result<Found, Failure> {
    let mut found = Found::default();
    if path.is_file() {
        found.files.push(UploadFile::read(path)?);
        return Ok(found);
    }
    let mut paths = Vec::new();
    walk(path, 0, &mut paths)?;
    paths.sort();
    for file in paths {
        match UploadFile::read(&file) {
            Ok(file) => found.files.push(file),
            Err(client::Error::Unusable { path: file, reason }) => {
                let name = file.strip_prefix(path).unwrap_or(&file);
                found.others.push((name.display().to_string(), reason));
            }
            Err(error) => return Err(error.into()),
        }
        if found.pictures() > MAX_IMAGES {
            break;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(found: &Found) -> Vec<&str> {
        let files = found.files.iter();
        files.map(|file| file.filename.as_str()).collect()
    }

    #[test]
    fn folders_are_looked_through_by_content() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        write("b.jpg", b"\x89PNG");
        write("a.png", b"\xff\xd8\xff");
        write("c.zip", b"PK\x03\x04 and more");
        write("notes.txt", b"hello");
        write("letter.docx", b"PK\x03\x04 and more");
        write(".hidden.png", b"\x89PNG");
        write(".git/d.png", b"\x89PNG");
        write("more/and more/e.png", b"\x89PNG");
        std::os::unix::fs::symlink(folder.path(), folder.path().join("more/circle")).unwrap();
        let found = find(folder.path()).unwrap();
        assert_eq!(names(&found), ["a.png", "b.jpg", "c.zip", "e.png"]);
        assert_eq!(found.pictures(), 3);
        let others: Vec<&str> = found.others.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(others, ["letter.docx", "notes.txt"]);
        let one = find(&folder.path().join("c.zip")).unwrap();
        assert_eq!((names(&one), one.pictures()), (vec!["c.zip"], 0));
        assert!(find(&folder.path().join("notes.txt")).is_err());
        assert!(find(&folder.path().join("missing")).is_err());
    }

    #[test]
    fn no_more_is_read_than_shows_that_there_is_too_much() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..MAX_IMAGES + 20 {
            let inner = folder.path().join(format!("{}", number % 7));
            fs::create_dir_all(&inner).unwrap();
            fs::write(inner.join(format!("{number}.png")), b"\x89PNG").unwrap();
        }
        assert_eq!(find(folder.path()).unwrap().files.len(), MAX_IMAGES + 1);
    }

    #[test]
    fn pictures_in_archives_are_known_by_their_names() {
        assert!(is_picture_name("a.JPG") && is_picture_name("b.tiff"));
        assert!(!is_picture_name("notes.txt") && !is_picture_name("jpg"));
    }
}
