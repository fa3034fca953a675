//! The secret files of an instance: without them certificates, tokens and sealed pictures are worth nothing.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{config::Config, secret};

/// Where master keys lie in a snapshot.
const MASTERS: &str = "master-keys";
/// Secret files beside those that end with `.key`.
const NAMED: [&str; 2] = ["token-keys.json", "demo.password"];
/// A secret file has a few KiB.
const MAX_BYTES: u64 = 1 << 20;

fn secret_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let secret = path.extension().is_some_and(|end| end == "key") || NAMED.contains(&&*name);
        if secret && path.metadata()?.len() <= MAX_BYTES {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<String> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    secret::write_private(to, &bytes).with_context(|| format!("cannot write {}", to.display()))?;
    Ok(secret::sha256_hex(&bytes))
}

/// Copies every secret file; gives their hashes by their names in the snapshot.
pub(super) fn save(config: &Config, to: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    fs::create_dir_all(to.join(MASTERS))?;
    let mut saved = BTreeMap::new();
    for (folder, prefix) in [
        (config.data_dir.clone(), ""),
        (config.master_keys(), MASTERS),
    ] {
        for path in secret_files(&folder)? {
            let name = path.file_name().unwrap_or_default();
            let place = Path::new(prefix).join(name);
            let hash = copy(&path, &to.join(&place))?;
            saved.insert(place.to_string_lossy().into_owned(), hash);
        }
    }
    Ok(saved)
}

/// Puts the secret files of a snapshot where an instance reads them; refuses changed ones.
pub(super) fn put_back(
    config: &Config,
    from: &Path,
    keys: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    fs::create_dir_all(config.master_keys())?;
    for (name, hash) in keys {
        let parts: Vec<&str> = name.split('/').collect();
        let to = match parts.as_slice() {
            [file] if is_plain(file) => config.data_dir.join(file),
            [MASTERS, file] if is_plain(file) => config.master_keys().join(file),
            _ => anyhow::bail!("the manifest names a key outside of its folder: {name}"),
        };
        let found = copy(&from.join(name), &to)?;
        anyhow::ensure!(
            found == *hash,
            "the key {name} is not the one that was saved"
        );
    }
    Ok(())
}

/// A file's name and nothing that leads elsewhere.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\'])
}

/// Whether the instance has keys of its own already.
pub(super) fn are_there(config: &Config) -> anyhow::Result<bool> {
    for folder in [config.data_dir.clone(), config.master_keys()] {
        if folder.is_dir() && !secret_files(&folder)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}
