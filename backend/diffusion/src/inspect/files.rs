//! The files of a model: their names, hashes, and the hash of all of them.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// Deepest folder, and most files, that belong to a model; known models have 2 and a few dozen.
const MAX_DEPTH: usize = 4;
const MAX_FILES: usize = 4096;

/// A file, hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileHash {
    /// Path below the model's folder, with slashes.
    pub name: String,
    /// Length.
    pub size_bytes: u64,
    /// SHA-256 in lower-case hexadecimal digits.
    pub sha256: String,
}

/// Hashes files below `root`, each in one pass through a small buffer.
pub fn hash_files(root: &Path, names: &[String]) -> Result<Vec<FileHash>> {
    names.iter().map(|name| hash(root, name)).collect()
}

fn hash(root: &Path, name: &str) -> Result<FileHash> {
    let path = root.join(name);
    let (size_bytes, sha256) = digest(&path).map_err(|source| Error::Io { path, source })?;
    Ok(FileHash {
        name: name.to_owned(),
        size_bytes,
        sha256,
    })
}

fn digest(path: &Path) -> io::Result<(u64, String)> {
    let mut file = fs::File::open(path)?;
    let (mut hasher, mut length) = (Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((length, hex::encode(hasher.finalize()))),
            count => {
                hasher.update(&buffer[..count]);
                length += count as u64;
            }
        }
    }
}

/// SHA-256 of the lines that `sha256sum` would print for these files in the order of their names.
pub fn manifest(files: &[FileHash]) -> String {
    let mut sorted: Vec<_> = files.iter().collect();
    sorted.sort_by(|left, right| left.name.cmp(&right.name));
    let mut hasher = Sha256::new();
    for FileHash { name, sha256, .. } in sorted {
        hasher.update(format!("{sha256}  {name}\n"));
    }
    hex::encode(hasher.finalize())
}

/// Names of all regular files below a folder, sorted; hidden ones and linked folders are left out.
pub(super) fn list(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    collect(root, "", 0, &mut names)?;
    names.sort();
    Ok(names)
}

fn collect(folder: &Path, prefix: &str, depth: usize, names: &mut Vec<String>) -> Result<()> {
    let io = |source| Error::Io {
        path: folder.to_owned(),
        source,
    };
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let name = format!("{prefix}{name}");
        let kind = entry.file_type().map_err(io)?;
        if kind.is_dir() && depth < MAX_DEPTH {
            collect(&entry.path(), &format!("{name}/"), depth + 1, names)?;
        } else if fs::metadata(entry.path()).is_ok_and(|about| about.is_file()) {
            names.push(name);
        }
        if names.len() > MAX_FILES {
            let reason = format!("a model folder of more than {MAX_FILES} files");
            return Err(Error::InvalidArgument(reason));
        }
    }
    Ok(())
}

/// Whether opening a file of this name may run code.
pub(super) fn is_pickle(name: &str) -> bool {
    let extension = Path::new(name).extension();
    extension.is_some_and(|kind| {
        ["bin", "ckpt", "pt", "pth", "pkl"]
            .iter()
            .any(|bad| kind == *bad)
    })
}

/// Whether a file of this name, at the top of a model, is its licence.
pub(super) fn is_licence(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let starts = ["license", "licence", "copying", "notice"];
    !name.contains('/') && starts.iter().any(|start| name.starts_with(start))
}

/// The licence that lies in a folder, if any.
pub(super) fn licence_beside(folder: &Path) -> Option<String> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let entries = fs::read_dir(folder).ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| is_licence(name)).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_and_manifest_are_those_of_sha256sum() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("unet")).unwrap();
        fs::write(folder.path().join("unet/b"), b"").unwrap();
        fs::write(folder.path().join("a"), b"abc").unwrap();
        fs::write(folder.path().join(".hidden"), b"abc").unwrap();
        let names = list(folder.path()).unwrap();
        assert_eq!(names, ["a", "unet/b"]);
        let hashes = hash_files(folder.path(), &names).unwrap();
        assert_eq!(hashes[0].size_bytes, 3);
        let (abc, empty) = (
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        );
        assert_eq!(
            (hashes[0].sha256.as_str(), hashes[1].sha256.as_str()),
            (abc, empty)
        );
        // printf of both lines through sha256sum
        let lines = format!("{abc}  a\n{empty}  unet/b\n");
        assert_eq!(manifest(&hashes), hex::encode(Sha256::digest(lines)));
    }

    #[test]
    fn licences_and_pickles_are_known_by_their_names() {
        assert!(is_licence("LICENSE.md") && is_licence("Licence") && is_licence("COPYING"));
        assert!(!is_licence("unet/LICENSE") && !is_licence("README.md"));
        assert!(is_pickle("unet/diffusion_pytorch_model.bin") && !is_pickle("a.safetensors"));
    }
}
