//! What `docker/compose.yaml` says. A key that nothing here carries out is refused, so that none is overlooked.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, de::IgnoredAny};
use yaml_serde::{Mapping, Value};

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Compose {
    pub(super) services: BTreeMap<String, Service>,
    pub(super) secrets: BTreeMap<String, Secret>,
    pub(super) volumes: Mapping,
    #[serde(rename = "name")]
    _name: String,
}

/// One service. What an engine alone can do (a root that nobody writes to, restarts) is read over.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Service {
    pub(super) image: String,
    pub(super) build: Option<Build>,
    pub(super) command: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) env_file: Vec<String>,
    pub(super) secrets: Vec<String>,
    pub(super) volumes: Vec<String>,
    pub(super) ports: Vec<String>,
    pub(super) networks: BTreeMap<String, Network>,
    pub(super) depends_on: BTreeMap<String, Dependency>,
    pub(super) healthcheck: Option<HealthCheck>,
    pub(super) profiles: Vec<String>,
    pub(super) security_opt: Vec<String>,
    #[serde(rename = "cap_drop")]
    _cap_drop: IgnoredAny,
    #[serde(rename = "read_only")]
    _read_only: IgnoredAny,
    #[serde(rename = "restart")]
    _restart: IgnoredAny,
    #[serde(rename = "tmpfs")]
    _tmpfs: IgnoredAny,
}

/// What an image is built from.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Build {
    pub(super) context: String,
    pub(super) dockerfile: String,
    pub(super) target: String,
}

/// How a service is reached beside its own name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Network {
    pub(super) aliases: Vec<String>,
}

/// What must be before a service starts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dependency {
    pub(super) condition: Condition,
}

/// How much of it must be.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Condition {
    ServiceStarted,
    ServiceHealthy,
}

/// How an engine asks whether a service is well.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HealthCheck {
    pub(super) test: Vec<String>,
    #[serde(rename = "interval")]
    _interval: String,
    #[serde(rename = "timeout")]
    _timeout: String,
    #[serde(rename = "retries")]
    _retries: u32,
}

/// Where a secret comes from.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Secret {
    pub(super) file: String,
}

impl Compose {
    pub(super) fn read(text: &str) -> Result<Self> {
        let mut value: Value = yaml_serde::from_str(text)?;
        value.apply_merge()?;
        let top = value.as_mapping_mut().context("it is no mapping")?;
        top.retain(|key, _| !key.as_str().is_some_and(|key| key.starts_with("x-")));
        Ok(yaml_serde::from_value(value)?)
    }

    pub(super) fn service(&self, name: &str) -> Result<&Service> {
        let service = self.services.get(name);
        service.with_context(|| format!("no service {name}"))
    }
}

/// The commands at the head of the file, up to the engine's.
pub(super) fn preparation(text: &str) -> String {
    let head = text.lines().take_while(|line| line.starts_with('#'));
    let commands = head.filter_map(|line| line.strip_prefix("#   "));
    let before = commands.take_while(|line| !line.starts_with("docker "));
    before.collect::<Vec<_>>().join("\n")
}

/// The words after the service of the command that lets a node join.
pub(super) fn joining(text: &str) -> Result<Vec<&str>> {
    let comments = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix('#'));
    let mut runs = comments.filter_map(|line| line.split_once(" run --rm "));
    let (_, words) = runs.next().context("no node is told how to join")?;
    Ok(words.split_whitespace().skip(1).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
# A comment.
#
#   mkdir one
#   docker compose up
name: x
x-shared: &shared { image: a, profiles: [p] }
services:
  # A node joins once:
  #   docker compose run --rm one join URL TOKEN
  one: { <<: *shared, command: [run] }
secrets: {}
volumes: {}
";

    #[test]
    fn services_inherit_and_unknown_keys_are_refused() {
        let file = Compose::read(FILE).unwrap();
        let one = file.service("one").unwrap();
        assert_eq!((one.image.as_str(), one.profiles.len()), ("a", 1));
        assert_eq!(one.command, ["run"]);
        let strange = FILE.replace("command: [run]", "comand: [run]");
        assert!(Compose::read(&strange).is_err());
        let number = FILE.replace("command: [run]", "environment: { A: 1 }");
        assert!(Compose::read(&number).is_err(), "a variable is a text");
    }

    #[test]
    fn documented_commands_are_found() {
        assert_eq!(preparation(FILE.trim_start()), "mkdir one");
        assert_eq!(joining(FILE).unwrap(), ["join", "URL", "TOKEN"]);
    }
}
