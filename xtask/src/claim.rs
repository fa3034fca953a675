//! One cache, several clones: nobody runs what another clone compiled.
//!
//! Cargo names a workspace's own packages alike in every clone and asks only whether a source is
//! newer than what was compiled. Sources of this clone that are older than another clone's build
//! would look compiled. So whoever comes with another clone forgets the workspace's own packages;
//! their dependencies stay.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cache::{command, folder, output, root};

/// Levels below the cache at which cargo may keep its fingerprints.
const DEPTH: usize = 5;

/// Makes the cache this clone's own.
pub(crate) fn claim() -> Result<()> {
    let target = folder("target")?;
    let owner = target.join("clone");
    let root = root().display().to_string();
    if fs::read_to_string(&owner).is_ok_and(|last| last == root) {
        return Ok(());
    }
    let members = members()?;
    for cache in [&target, &folder("web")?] {
        for fingerprints in fingerprint_folders(cache, DEPTH) {
            forget(&fingerprints, &members)?;
        }
    }
    fs::create_dir_all(&target).context("making the cache")?;
    fs::write(&owner, root).context("writing whose build this is")
}

/// Names of the workspace's own packages.
fn members() -> Result<Vec<String>> {
    let mut metadata = command("cargo");
    metadata.args(["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&output(&mut metadata)?)?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    Ok(packages
        .iter()
        .filter_map(|package| package["name"].as_str().map(str::to_owned))
        .collect())
}

fn fingerprint_folders(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name == ".fingerprint" {
            found.push(entry.path());
        } else if depth > 1
            && !["deps", "build", "incremental"]
                .iter()
                .any(|skip| name == *skip)
        {
            found.extend(fingerprint_folders(&entry.path(), depth - 1));
        }
    }
    found
}

/// Removes what cargo knows of these packages, and of nothing else.
fn forget(fingerprints: &Path, members: &[String]) -> Result<()> {
    for entry in fs::read_dir(fingerprints)?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // A folder is called after its package and sixteen hexadecimal digits.
        let package = name.rsplit_once('-').map_or("", |(package, _)| package);
        if members.iter().any(|member| member == package) {
            fs::remove_dir_all(entry.path())
                .with_context(|| format!("forgetting {}", entry.path().display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_packages_are_forgotten_and_dependencies_stay() {
        let base = std::env::temp_dir().join(format!("xtask-claim-{}", std::process::id()));
        let fingerprints = base.join("debug/.fingerprint");
        for name in [
            "api-0011223344556677",
            "api-client-0011223344556677",
            "serde-00112233",
        ] {
            fs::create_dir_all(fingerprints.join(name)).unwrap();
        }
        let found = fingerprint_folders(&base, DEPTH);
        assert_eq!(found, std::slice::from_ref(&fingerprints));
        forget(&found[0], &["api".to_owned()]).unwrap();
        let mut left: Vec<_> = fs::read_dir(&fingerprints)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["api-client-0011223344556677", "serde-00112233"]);
        fs::remove_dir_all(&base).unwrap();
    }
}
