//! Models whose weights lie in several files, with an index that says which tensor lies where.
//!
//! The index may only name files beside itself, and each tensor must lie where it says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    file::WeightsFile,
    header::{malformed, printable},
    unique::UniqueStrings,
};
use crate::{Error, Result};

/// Longest index that is accepted; those of known models stay below 1 MiB.
const MAX_INDEX: u64 = 16 << 20;

/// Most files of one model.
const MAX_FILES: usize = 1000;

#[derive(Deserialize)]
struct Index {
    weight_map: UniqueStrings,
}

/// Opens the files that an index names.
pub(super) fn open(path: &Path) -> Result<WeightsFile<'static>> {
    let index = parse(path, &read(path)?)?;
    let names: BTreeSet<&str> = index.values().map(String::as_str).collect();
    if names.is_empty() || names.len() > MAX_FILES {
        return Err(malformed(format!("an index of {} files", names.len())));
    }
    if let Some(name) = names.iter().find(|name| !is_plain(name)) {
        return Err(malformed(format!(
            "the index names the file {:?}, which is not one beside it",
            printable(name)
        )));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let paths: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    let positions: BTreeMap<&str, usize> = names.iter().copied().zip(0..).collect();
    let file = WeightsFile::open_parts(&paths, |tensor| {
        positions.get(index.get(tensor)?.as_str()).copied()
    })?;
    match index.keys().find(|tensor| file.get(tensor).is_none()) {
        Some(tensor) => Err(Error::MalformedTensor {
            name: printable(tensor),
            reason: "the index names it, its file lacks it".to_owned(),
        }),
        None => Ok(file),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(io)?;
    file.take(MAX_INDEX + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > MAX_INDEX {
        return Err(malformed(format!(
            "an index of more than {MAX_INDEX} bytes"
        )));
    }
    Ok(bytes)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<BTreeMap<String, String>> {
    let index: Index = serde_json::from_slice(bytes).map_err(|source| Error::Json {
        file: path.display().to_string(),
        source,
    })?;
    Ok(index.weight_map.0)
}

/// Whether a name is one of a safetensors file, without any folder.
fn is_plain(name: &str) -> bool {
    let known = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    name.ends_with(".safetensors") && !name.starts_with('.') && name.chars().all(known)
}
