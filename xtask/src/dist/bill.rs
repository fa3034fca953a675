//! The bill of materials: every crate that is compiled into the programs or the dashboard, and the data inside them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::TARGET;
use crate::cache::{cargo, output, root};

/// Data of others inside the product: name, version, licence, where it comes from, its notice in the clone.
pub(super) const DATA: &[(&str, &str, &str, &str, &str)] = &[
    (
        "Noto Emoji (emoji-datasource-google)",
        "16.0.0",
        "Apache-2.0",
        "https://github.com/googlefonts/noto-emoji",
        "backend/world/assets/NOTICE",
    ),
    (
        "Twemoji (emoji-datasource-twitter)",
        "16.0.0",
        "CC-BY-4.0",
        "https://github.com/jdecked/twemoji",
        "backend/world/assets/NOTICE",
    ),
    (
        "Fluent Emoji 3D (@lobehub/fluent-emoji-3d)",
        "1.1.0",
        "MIT",
        "https://github.com/microsoft/fluentui-emoji",
        "backend/world/assets/NOTICE",
    ),
    (
        "CLIP byte-pair merges",
        "1.0",
        "MIT",
        "https://github.com/openai/CLIP",
        "backend/diffusion/assets/clip/NOTICE",
    ),
    (
        "ftfy tables",
        "6.3.1",
        "Apache-2.0",
        "https://github.com/rspeer/python-ftfy",
        "backend/diffusion/assets/ftfy/NOTICE",
    ),
];

/// A crate of somebody else.
pub(super) struct Component {
    pub(super) name: String,
    pub(super) version: String,
    /// An SPDX expression.
    pub(super) licence: String,
    pub(super) repository: Option<String>,
    /// Where its sources lie on this machine.
    pub(super) folder: PathBuf,
    sha256: Option<String>,
    dependencies: Vec<String>,
}

/// All of them, by package id.
pub(super) struct Bill {
    pub(super) components: BTreeMap<String, Component>,
}

impl Component {
    fn url(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version)
    }
}

impl Bill {
    /// Asks cargo: its tree knows the features that are compiled, its metadata the rest.
    pub(super) fn read() -> Result<Self> {
        let mut used = tree(TARGET, &["api", "node"], &[])?;
        used.extend(tree("wasm32-unknown-unknown", &["frontend"], &[])?);
        Self::of(&used, &[])
    }

    /// The same for a node for NVIDIA devices.
    pub(super) fn of_cuda_node() -> Result<Self> {
        let features = ["--features", "node/cuda"];
        Self::of(&tree(TARGET, &["node"], &features)?, &features)
    }

    fn of(used: &BTreeSet<(String, String)>, features: &[&str]) -> Result<Self> {
        let sums = checksums(&fs::read_to_string(root().join("Cargo.lock"))?);
        let mut metadata = cargo()?;
        metadata.args(["metadata", "--format-version", "1", "--locked"]);
        metadata.args(features);
        let metadata: Value = serde_json::from_str(&output(&mut metadata)?)?;
        Self::select(&metadata, used, &sums)
    }

    fn select(
        metadata: &Value,
        used: &BTreeSet<(String, String)>,
        sums: &BTreeMap<(String, String), String>,
    ) -> Result<Self> {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut edges = BTreeMap::new();
        for node in list(&metadata["resolve"]["nodes"]) {
            let on: Vec<String> = list(&node["dependencies"])
                .iter()
                .filter_map(text)
                .collect();
            edges.insert(text(&node["id"]).context("a node without an id")?, on);
        }
        let mut components = BTreeMap::new();
        for package in list(&metadata["packages"]) {
            let name = text(&package["name"]).context("a package without a name")?;
            let version = text(&package["version"]).context("a package without a version")?;
            let key = (name, version);
            if package["source"].is_null() || !used.contains(&key) {
                continue;
            }
            let id = text(&package["id"]).context("a package without an id")?;
            let manifest = text(&package["manifest_path"]).context("no manifest")?;
            let licence = text(&package["license"]);
            let licence = licence.with_context(|| format!("{} names no licence", key.0))?;
            components.insert(
                id.clone(),
                Component {
                    licence: spdx(&licence),
                    repository: text(&package["repository"]),
                    folder: PathBuf::from(manifest)
                        .parent()
                        .context("no folder")?
                        .into(),
                    sha256: sums.get(&key).cloned(),
                    dependencies: edges.remove(&id).unwrap_or_default(),
                    name: key.0,
                    version: key.1,
                },
            );
        }
        ensure!(!components.is_empty(), "cargo named no dependency");
        Ok(Self { components })
    }

    /// As a `CycloneDX` 1.6 document.
    pub(super) fn cyclonedx(&self) -> Result<String> {
        let version = env!("CARGO_PKG_VERSION");
        let product = format!("pkg:cargo/persguard@{version}");
        let crates = self.components.values().map(|component| {
            let mut entry = json!({
                "type": "library", "bom-ref": component.url(), "name": component.name,
                "version": component.version, "purl": component.url(),
                "licenses": [{ "expression": component.licence }],
            });
            if let Some(sha256) = &component.sha256 {
                entry["hashes"] = json!([{ "alg": "SHA-256", "content": sha256 }]);
            }
            if let Some(url) = &component.repository {
                entry["externalReferences"] = json!([{ "type": "vcs", "url": url }]);
            }
            entry
        });
        let data = DATA.iter().map(|(name, version, licence, url, _)| {
            json!({
                "type": "data", "bom-ref": format!("data:{name}"), "name": name, "version": version,
                "licenses": [{ "expression": licence }],
                "externalReferences": [{ "type": "website", "url": url }],
            })
        });
        let components: Vec<Value> = crates.chain(data).collect();
        let all: BTreeSet<&str> = components
            .iter()
            .filter_map(|component| component["bom-ref"].as_str())
            .collect();
        let mut dependencies = vec![json!({ "ref": product, "dependsOn": all })];
        dependencies.extend(self.components.values().map(|component| {
            let on: BTreeSet<String> = component
                .dependencies
                .iter()
                .filter_map(|id| self.components.get(id))
                .map(Component::url)
                .collect();
            json!({ "ref": component.url(), "dependsOn": on })
        }));
        let document = json!({
            "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
            "metadata": { "component": {
                "type": "application", "bom-ref": product, "name": "persguard", "version": version,
                "purl": product, "licenses": [{ "expression": "MIT OR Apache-2.0" }],
            } },
            "components": components, "dependencies": dependencies,
        });
        Ok(serde_json::to_string_pretty(&document)? + "\n")
    }
}

/// Older manifests write a slash where SPDX has a word.
fn spdx(licence: &str) -> String {
    let parts: Vec<&str> = licence.split('/').map(str::trim).collect();
    parts.join(" OR ")
}

/// Name and version of every crate that packages need when they run on a target.
fn tree(target: &str, packages: &[&str], features: &[&str]) -> Result<BTreeSet<(String, String)>> {
    let mut tree = cargo()?;
    tree.args(["tree", "--locked", "--edges", "normal", "--prefix", "none"])
        .args(["--format", "{p}", "--target", target])
        .args(features);
    for package in packages {
        tree.args(["--package", package]);
    }
    Ok(names(&output(&mut tree)?))
}

/// Reads lines such as `serde v1.0.1 (proc-macro)`.
fn names(tree: &str) -> BTreeSet<(String, String)> {
    let pair = |line: &str| {
        let (name, rest) = line.split_once(" v")?;
        Some((name.to_owned(), rest.split_whitespace().next()?.to_owned()))
    };
    tree.lines().filter_map(pair).collect()
}

/// What the lock file says of each package's archive.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let entry = |text: &str| {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.strip_prefix(" = \"")?.strip_suffix('"')?.to_owned())
        };
        Some(((field("name")?, field("version")?), field("checksum")?))
    };
    lock.split("[[package]]").filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, version: &str) -> (String, String) {
        (name.into(), version.into())
    }

    #[test]
    fn lines_of_the_tree_and_the_lock_file_are_read() {
        let found = names("api v0.1.0 (/a/b)\nserde v1.0.1 (proc-macro)\n\nserde v1.0.1 (*)\n");
        assert_eq!(
            found,
            BTreeSet::from([pair("api", "0.1.0"), pair("serde", "1.0.1")])
        );
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"00ff\"\n\n\
                    [[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n";
        assert_eq!(
            checksums(lock),
            BTreeMap::from([(pair("a", "1.0.0"), "00ff".to_owned())])
        );
        assert_eq!(spdx("MIT/Apache-2.0"), "MIT OR Apache-2.0");
    }

    #[test]
    fn bill_names_what_is_compiled_and_nothing_else() {
        let package = |name: &str, source: Value| {
            json!({ "id": format!("{name}#1"), "name": name, "version": "1.0.0", "source": source,
                "license": "MIT", "manifest_path": format!("/src/{name}/Cargo.toml"), "repository": null })
        };
        let metadata = json!({
            "packages": [package("a", json!("registry")), package("b", json!("registry")),
                package("tested", json!("registry")), package("ours", Value::Null)],
            "resolve": { "nodes": [{ "id": "a#1", "dependencies": ["b#1", "tested#1"] },
                { "id": "b#1", "dependencies": [] }] },
        });
        let used = ["a", "b", "ours"].map(|name| pair(name, "1.0.0")).into();
        let bill = Bill::select(&metadata, &used, &BTreeMap::new()).expect("a bill");
        let document: Value = serde_json::from_str(&bill.cyclonedx().expect("text")).expect("JSON");
        let names: Vec<&str> = document["components"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|component| component["type"] == "library")
            .filter_map(|component| component["name"].as_str())
            .collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(
            document["dependencies"][1]["dependsOn"],
            json!(["pkg:cargo/b@1.0.0"])
        );
    }

    #[test]
    fn crate_without_a_licence_stops_the_release() {
        let metadata = json!({ "packages": [{ "id": "a", "name": "a", "version": "1.0.0", "source": "registry",
            "license": null, "manifest_path": "/src/a/Cargo.toml" }], "resolve": { "nodes": [] } });
        let used = BTreeSet::from([pair("a", "1.0.0")]);
        let Err(error) = Bill::select(&metadata, &used, &BTreeMap::new()) else {
            panic!("it went through");
        };
        assert_eq!(error.to_string(), "a names no licence");
    }
}
