//! The dependency arrows between packages, their monopolies and their manners, as a test.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// What each package may depend on inside the workspace.
const ARROWS: &[(&str, &[&str])] = &[
    ("shared", &[]),
    ("migrations", &[]),
    ("demo", &[]),
    ("diffusion", &[]),
    ("sandbox", &[]),
    ("telemetry", &[]),
    ("xtask", &[]),
    ("store", &["shared"]),
    ("artifacts", &["shared"]),
    ("frontend", &["shared"]),
    // What integrators link: the wire types and nothing of ours beside.
    ("client", &["shared"]),
    // The commands that use a server from afar; the program `persguard` has them beside `serve`.
    ("cli", &["client", "shared"]),
    ("persguard", &["diffusion", "shared"]),
    ("eval", &["diffusion", "shared"]),
    (
        "world",
        &["demo", "diffusion", "eval", "persguard", "shared"],
    ),
    (
        "node",
        &[
            "diffusion",
            "eval",
            "persguard",
            "sandbox",
            "shared",
            "telemetry",
        ],
    ),
    (
        "api",
        &[
            "artifacts",
            "cli",
            "demo",
            "migrations",
            "sandbox",
            "shared",
            "store",
            "telemetry",
        ],
    ),
    (
        "e2e",
        &[
            "api",
            "artifacts",
            "demo",
            "migrations",
            "node",
            "shared",
            "store",
        ],
    ),
    // Every parser of untrusted bytes, wherever it is.
    (
        "fuzz",
        &[
            "api",
            "artifacts",
            "client",
            "demo",
            "diffusion",
            "eval",
            "shared",
            "store",
            "telemetry",
        ],
    ),
];

/// What a package may use in its own tests beyond its arrows.
const TEST_ARROWS: &[(&str, &[&str])] = &[
    ("store", &["migrations"]),
    // The client is tested where a server and its scripted node are at hand.
    ("api", &["client"]),
];

/// Outside crates and the only packages that may name them.
const MONOPOLIES: &[(&str, &[&str])] = &[
    ("sea-orm", &["store"]),
    ("sea-orm-migration", &["migrations"]),
    ("s3", &["artifacts"]),
    ("axum", &["api", "e2e"]),
    // The node names a device and input tensors; every operation on them is below it.
    (
        "candle-core",
        &["diffusion", "persguard", "eval", "world", "node", "fuzz"],
    ),
    ("candle-nn", &["diffusion", "persguard", "eval", "world"]),
    ("leptos", &["frontend"]),
    ("async-nats", &["api", "node"]),
    ("landlock", &["sandbox"]),
    ("seccompiler", &["sandbox"]),
    ("opentelemetry", &["telemetry"]),
    ("opentelemetry_sdk", &["telemetry"]),
];

struct Package {
    name: String,
    /// Name, and whether it is for tests alone.
    dependencies: Vec<(String, bool)>,
    test_targets: Vec<String>,
    manifest: String,
}

fn packages() -> Result<Vec<Package>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    packages.iter().map(read).collect()
}

fn read(package: &Value) -> Result<Package> {
    let text = |value: &Value| value.as_str().map(str::to_owned).context("not a text");
    let list = |name: &str| package[name].as_array().cloned().context("not a list");
    let dependency = |value: &Value| Ok((text(&value["name"])?, value["kind"] == "dev"));
    let targets = list("targets")?;
    let tests = targets.iter().filter(|target| target["kind"][0] == "test");
    Ok(Package {
        name: text(&package["name"])?,
        dependencies: list("dependencies")?
            .iter()
            .map(dependency)
            .collect::<Result<_>>()?,
        test_targets: tests
            .map(|target| text(&target["name"]))
            .collect::<Result<_>>()?,
        manifest: fs::read_to_string(text(&package["manifest_path"])?)?,
    })
}

fn assert_none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn dependencies_point_the_right_way() -> Result<()> {
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let test_arrows: BTreeMap<_, _> = TEST_ARROWS.iter().copied().collect();
    let mut broken = Vec::new();
    for package in packages()? {
        let name = package.name.as_str();
        let Some(allowed) = arrows.get(name) else {
            broken.push(format!("{name}: not in ARROWS"));
            continue;
        };
        let in_tests = test_arrows.get(name).copied().unwrap_or_default();
        for (on, test_only) in &package.dependencies {
            let fine =
                allowed.contains(&on.as_str()) || (*test_only && in_tests.contains(&on.as_str()));
            if arrows.contains_key(on.as_str()) && !fine {
                broken.push(format!("{name} -> {on}"));
            }
        }
    }
    assert_none(&broken);
    Ok(())
}

#[test]
fn monopolies_are_kept() -> Result<()> {
    let monopolies: BTreeMap<_, _> = MONOPOLIES.iter().copied().collect();
    let mut broken = Vec::new();
    for package in packages()? {
        for (on, _) in &package.dependencies {
            let owners = monopolies.get(on.as_str());
            if owners.is_some_and(|owners| !owners.contains(&package.name.as_str())) {
                broken.push(format!("{} -> {on} (reserved)", package.name));
            }
        }
    }
    assert_none(&broken);
    Ok(())
}

#[test]
fn every_package_keeps_the_house_rules() -> Result<()> {
    let mut broken = Vec::new();
    for package in packages()? {
        let name = &package.name;
        if !package.manifest.contains("[lints]\nworkspace = true") {
            broken.push(format!("{name}: does not inherit the workspace lints"));
        }
        if !package.manifest.contains("rust-version.workspace = true") {
            broken.push(format!("{name}: does not inherit rust-version"));
        }
        // `cargo xtask test` runs the integration tests by this name.
        if name != "e2e" && package.test_targets.iter().any(|target| target != "it") {
            broken.push(format!(
                "{name}: integration tests live in tests/it/main.rs"
            ));
        }
        if ["core", "std", "alloc", "test"].contains(&name.as_str()) {
            broken.push(format!("{name}: this name breaks derives"));
        }
    }
    assert_none(&broken);
    Ok(())
}
