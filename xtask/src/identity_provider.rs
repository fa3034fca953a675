//! The `OpenID` Connect provider that tests sign in by: npm's `oidc-provider`, which is certified, in the tools' folder.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};

use crate::cache::{command, folder, run};

/// The last version that runs on the Node.js of Debian 12.
const PACKAGE: &str = "oidc-provider@8.8.1";

/// Installs it once; gives the folder.
pub(crate) fn install() -> Result<PathBuf> {
    let tools = folder("tools")?;
    let ready = tools.join(PACKAGE.replace('@', "-"));
    if ready.is_dir() {
        return Ok(ready);
    }
    let draft = tools.join(format!("oidc-provider-draft-{}", std::process::id()));
    fs::create_dir_all(&draft)?;
    let mut install = command("npm");
    install
        .args(["install", "--silent", "--no-audit", "--no-fund"])
        .args(["--ignore-scripts", "--no-package-lock", "--prefix"])
        .arg(&draft)
        .arg(PACKAGE);
    run(&mut install)?;
    fs::rename(&draft, &ready).context("moving the provider into place")?;
    Ok(ready)
}
