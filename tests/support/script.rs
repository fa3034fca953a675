//! Commands of a document, run by a shell as they stand.

use std::{path::Path, process::Command};

use anyhow::{Result, ensure};

/// Runs a script in a folder, stopping at its first failure; what it prints.
pub fn run(script: &str, folder: &Path) -> Result<String> {
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(folder)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}\n{errors}");
    Ok(said)
}
