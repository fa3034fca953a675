//! Where what the file names is on this machine: hosts, ports and folders of containers.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// Addresses within the composition.
#[derive(Default)]
pub(super) struct Hosts {
    /// Services by the names that others use.
    names: BTreeMap<String, String>,
    /// Ports of this machine, by service and port there.
    ports: BTreeMap<(String, u16), u16>,
}

impl Hosts {
    pub(super) fn name(&mut self, service: &str, name: &str) {
        self.names.insert(name.to_owned(), service.to_owned());
    }

    pub(super) fn set_port(&mut self, service: &str, there: u16, here: u16) {
        self.ports.insert((service.to_owned(), there), here);
    }

    pub(super) fn port(&self, service: &str, there: u16) -> Result<u16> {
        let here = self.ports.get(&(service.to_owned(), there));
        here.copied()
            .with_context(|| format!("{service} does not listen on {there}"))
    }

    /// What a value, an argument or a file's whole text is here, for one service.
    pub(super) fn here(&self, service: &str, mounts: &Mounts, text: &str) -> Result<String> {
        if text.contains("://") {
            return self.url(text);
        }
        if let Some((address, port)) = text.rsplit_once(':')
            && ["0.0.0.0", "[::]"].contains(&address)
        {
            return Ok(format!("127.0.0.1:{}", self.port(service, port.parse()?)?));
        }
        let place = mounts.path(text);
        Ok(place.map_or(text.to_owned(), |place| place.display().to_string()))
    }

    fn url(&self, text: &str) -> Result<String> {
        let (scheme, rest) = text.split_once("://").context("no address")?;
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let start = authority.rfind('@').map_or(0, |at| at + 1);
        let (user, place) = authority.split_at(start);
        let (host, port) = place.split_once(':').unwrap_or((place, ""));
        let Some(service) = self.names.get(host) else {
            return Ok(text.to_owned());
        };
        let there = match (port, scheme) {
            ("", "http") => 80,
            ("", "postgres") => 5432,
            ("", _) => bail!("{scheme} has no port of its own"),
            (port, _) => port.parse()?,
        };
        let here = self.port(service, there)?;
        Ok(format!("{scheme}://{user}127.0.0.1:{here}{path}"))
    }

    /// The same for a file of settings.
    pub(super) fn settings(&self, service: &str, mounts: &Mounts, text: &str) -> String {
        let mut text = mounts.replaced(text);
        for ((name, there), here) in &self.ports {
            if name == service {
                for everywhere in ["0.0.0.0", "[::]"] {
                    let from = format!("\"{everywhere}:{there}\"");
                    text = text.replace(&from, &format!("\"127.0.0.1:{here}\""));
                }
            }
        }
        text
    }
}

/// Folders and files of one container, each with its place here.
#[derive(Default)]
pub(super) struct Mounts(Vec<(String, PathBuf)>);

impl Mounts {
    pub(super) fn add(&mut self, there: &str, here: PathBuf) {
        self.0.push((there.to_owned(), here));
    }

    /// Where a path of the container is.
    pub(super) fn path(&self, path: &str) -> Option<PathBuf> {
        self.0.iter().find_map(|(there, here)| {
            let below = Path::new(path).strip_prefix(there).ok()?;
            // Joining nothing would end the path with a slash.
            let whole = below.as_os_str().is_empty();
            Some(if whole {
                here.clone()
            } else {
                here.join(below)
            })
        })
    }

    fn replaced(&self, text: &str) -> String {
        let quoted = |path: &str| format!("\"{path}\"");
        self.0.iter().fold(text.to_owned(), |text, (there, here)| {
            text.replace(&quoted(there), &quoted(&here.display().to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> (Hosts, Mounts) {
        let (mut hosts, mut mounts) = (Hosts::default(), Mounts::default());
        for (service, there, here) in [("db", 5432, 1), ("s3", 3900, 2), ("api", 7740, 3)] {
            hosts.name(service, service);
            hosts.set_port(service, there, here);
        }
        hosts.name("s3", "s3.localhost");
        mounts.add("/data", "/tmp/x".into());
        (hosts, mounts)
    }

    #[test]
    fn hosts_and_paths_are_found_here() {
        let (hosts, mounts) = places();
        let here = |text: &str| hosts.here("api", &mounts, text).unwrap();
        for (there, expected) in [
            ("postgres://u:p@db/name", "postgres://u:p@127.0.0.1:1/name"),
            ("http://s3.localhost:3900", "http://127.0.0.1:2"),
            ("https://example.org/a", "https://example.org/a"),
            ("0.0.0.0:7740", "127.0.0.1:3"),
            ("/data/a", "/tmp/x/a"),
            ("/data", "/tmp/x"),
            ("/database", "/database"),
            ("true", "true"),
        ] {
            assert_eq!(here(there), expected);
        }
        assert!(hosts.here("api", &mounts, "http://db:1").is_err());
        assert!(hosts.here("api", &mounts, "0.0.0.0:1").is_err());
    }

    #[test]
    fn files_of_settings_are_of_one_service() {
        let (hosts, mounts) = places();
        let text = "a = \"[::]:3900\"\nb = \"/data\"\nc = \"[::]:7740\"";
        let here = hosts.settings("s3", &mounts, text);
        assert_eq!(
            here,
            "a = \"127.0.0.1:2\"\nb = \"/tmp/x\"\nc = \"[::]:7740\""
        );
    }
}
