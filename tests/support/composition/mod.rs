//! `docker/compose.yaml` as plain processes of this machine: every service with the command, the variables, the secrets
//! and the user that the file and its images give it. Hosts become ports of this machine, and folders of containers become
//! folders of a temporary one; nothing else differs.

mod container;
mod file;
mod image;
mod place;
mod process;

use std::{
    collections::BTreeMap,
    env,
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::{Postgres, script, server::program};
use container::{docker, image};
use file::{Compose, Condition};
use image::{Image, Kind, on_path};
use place::Hosts;
use process::Process;

/// Longest wait for a service to be well.
const LIMIT: Duration = Duration::from_mins(1);

/// The services that run; they end with this.
pub struct Composition {
    text: String,
    compose: Compose,
    hosts: Hosts,
    running: BTreeMap<String, Process>,
    postgres: Option<(String, Postgres)>,
    /// What stands for Garage where there is none.
    s3_server: &'static str,
    root: TempDir,
}

/// Which of these variables no option of a program's help reads.
fn unknown<'a>(help: &str, names: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    let words: Vec<&str> = help.split_whitespace().collect();
    let help = words.join(" ");
    let reads = |name: &str| ["=", "]"].map(|end| help.contains(&format!("[env: {name}{end}")));
    names
        .map(String::as_str)
        .filter(|name| reads(name) == [false; 2])
        .collect()
}

/// Where Linux begins with ports of outgoing connections: one of those may take a port that was free a moment ago.
const BELOW_OUTGOING: u16 = 32_768;

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

impl Composition {
    /// The file.
    pub fn text() -> Result<String> {
        Ok(fs::read_to_string(docker().join("compose.yaml"))?)
    }

    /// Reads it, makes the secrets as it says, and lays the programs where the images have them. Starts nothing.
    pub fn prepare(text: String) -> Result<Self> {
        let compose = Compose::read(&text)?;
        let root = TempDir::new()?;
        // The services' users pass through it.
        fs::set_permissions(root.path(), Permissions::from_mode(0o711))?;
        script::run(&file::preparation(&text), root.path())?;
        let programs = root.path().join("programs");
        fs::create_dir(&programs)?;
        for name in ["persguard", "persguard-node"] {
            fs::copy(program(name)?, programs.join(name))?;
        }
        let mut hosts = Hosts::default();
        let mut ports = (BELOW_OUTGOING - 1024..BELOW_OUTGOING).rev();
        for (name, service) in &compose.services {
            hosts.name(name, name);
            for alias in service.networks.values().flat_map(|it| &it.aliases) {
                hosts.name(name, alias);
            }
            let mut there = image(&compose, service)?.ports;
            for published in &service.ports {
                let (own, port) = published.rsplit_once(':').context("no port within")?;
                ensure!(own.starts_with("127.0.0.1:"), "{own} is open to others");
                there.push(port.parse()?);
            }
            for there in there {
                let here = ports.find(|port| is_free(*port)).context("no free port")?;
                hosts.set_port(name, there, here);
            }
        }
        Ok(Self {
            text,
            compose,
            hosts,
            running: BTreeMap::new(),
            postgres: None,
            s3_server: "Garage",
            root,
        })
    }

    /// `docker compose up`: starts the services of a profile, or those that have none, each after what it depends on.
    pub fn up(&mut self, profile: Option<&str>) -> Result<()> {
        let all = self.compose.services.iter();
        let wanted = all.filter(|(_, service)| {
            profile.map_or(service.profiles.is_empty(), |profile| {
                service.profiles.iter().any(|it| it == profile)
            })
        });
        let mut waiting: Vec<String> = wanted.map(|(name, _)| name.clone()).collect();
        ensure!(!waiting.is_empty(), "no service is of {profile:?}");
        while !waiting.is_empty() {
            let can = |name: &String| self.misses(name).is_ok_and(|missing| missing.is_none());
            let next = waiting.iter().position(can);
            let name = waiting.swap_remove(next.with_context(|| format!("{waiting:?} wait"))?);
            let before = &self.compose.service(&name)?.depends_on;
            let before = before.iter().map(|(name, it)| (name.clone(), it.condition));
            for (dependency, condition) in before.collect::<Vec<_>>() {
                if condition == Condition::ServiceHealthy {
                    let asked = self.wait_until_healthy(&dependency)?;
                    ensure!(asked, "{name} waits for {dependency}, which nobody can ask");
                }
            }
            self.start(&name).with_context(|| name.clone())?;
        }
        Ok(())
    }

    /// A service that must have been started before this one and was not.
    fn misses(&self, name: &str) -> Result<Option<&String>> {
        let mut before = self.compose.service(name)?.depends_on.keys();
        Ok(before.find(|name| !self.runs(name)))
    }

    fn runs(&self, name: &str) -> bool {
        let database = self.postgres.as_ref().is_some_and(|(own, _)| own == name);
        database || self.running.contains_key(name)
    }

    fn start(&mut self, name: &str) -> Result<()> {
        let image = image(&self.compose, self.compose.service(name)?)?;
        let place = self.folder(name);
        fs::create_dir_all(&place)?;
        self.lay(name, &image)?;
        let log = place.join("log");
        let broker = env::var_os("PERSGUARD_NATS_SERVER").is_some();
        ensure!(
            broker || image.kind != Kind::Nats,
            "PERSGUARD_NATS_SERVER is not set: run `cargo xtask test --only journeys`"
        );
        match image.kind {
            Kind::Postgres => self.start_postgres(name, &image)?,
            Kind::Garage if on_path("garage").is_none() => {
                let data = self.mounts(name)?.path("/var/lib/garage/data");
                let data = data.context("its data are in a volume")?;
                let words = [program("examples/bucket_server")?, data];
                let words = words.map(|word| word.display().to_string());
                let mut command = self.command(name, &words)?;
                let (process, address) = Process::start_and_hear(&mut command, &log)?;
                let (_, port) = address.rsplit_once(':').context("no port")?;
                self.hosts.set_port(name, 3900, port.parse()?);
                self.running.insert(name.to_owned(), process);
                self.s3_server = "the tests' S3 server, as no Garage is installed";
            }
            _ => {
                let service = self.compose.service(name)?;
                let command = if service.command.is_empty() {
                    &image.command
                } else {
                    &service.command
                };
                let words = [&image.entrypoint[..], command].concat();
                let process = Process::start(&mut self.command(name, &words)?, &log)?;
                self.running.insert(name.to_owned(), process);
            }
        }
        Ok(())
    }

    /// What its image does at the first start, by the variables that it documents.
    fn start_postgres(&mut self, name: &str, image: &Image) -> Result<()> {
        let service = self.compose.service(name)?;
        let names: Vec<&str> = service.environment.keys().map(String::as_str).collect();
        let known = ["POSTGRES_DB", "POSTGRES_PASSWORD_FILE", "POSTGRES_USER"];
        ensure!(names == known, "{names:?} instead of {known:?}");
        let mounts = self.mounts(name)?;
        let secret = mounts.path(&service.environment[known[1]]);
        let secret = fs::read_to_string(secret.context("its password is no secret of it")?)?;
        let [database, user] = [known[0], known[2]].map(|name| &service.environment[name]);
        let server = Postgres::start_with(user, secret.trim(), database)?;
        let port = image.ports.first().context("it listens")?;
        self.hosts.set_port(name, *port, server.port());
        self.postgres = Some((name.to_owned(), server));
        Ok(())
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.root.path().join("services").join(name)
    }

    /// `docker compose run --rm`: what a service's program says to these words.
    pub fn run(&self, name: &str, words: &[&str]) -> Result<String> {
        let image = image(&self.compose, self.compose.service(name)?)?;
        fs::create_dir_all(self.folder(name))?;
        self.lay(name, &image)?;
        let words = words.iter().map(|word| (*word).to_owned());
        let words: Vec<String> = image.entrypoint.into_iter().chain(words).collect();
        let output = self.command(name, &words)?.output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{words:?}: {said}\n{errors}");
        Ok(said)
    }

    /// Lets a node join by the command that the file gives, with a token.
    pub fn join(&self, name: &str, token: &str) -> Result<String> {
        let words = file::joining(&self.text)?;
        let words = words.into_iter();
        let words = words.map(|word| if word == "pgj_..." { token } else { word });
        self.run(name, &words.collect::<Vec<_>>())
    }

    /// Refuses a variable that the service's program has no setting for.
    pub fn check_settings(&self, name: &str) -> Result<()> {
        let service = self.compose.service(name)?;
        let image = image(&self.compose, service)?;
        let verb = service.command.first().or(image.command.first());
        let verb = verb.context("it has no command")?;
        let help = self.run(name, &[verb, "--help"])?;
        let names = service.environment.keys().chain(image.environment.keys());
        let unknown = unknown(&help, names);
        ensure!(unknown.is_empty(), "{name} does not know {unknown:?}");
        Ok(())
    }

    /// Asks every service that says how, until it is well; their names.
    pub fn check_health(&mut self) -> Result<Vec<String>> {
        let names: Vec<String> = self.compose.services.keys().cloned().collect();
        let mut asked = Vec::new();
        for name in names {
            if self.runs(&name) && self.wait_until_healthy(&name)? {
                asked.push(name);
            }
        }
        Ok(asked)
    }

    /// Whether there is a way to ask it.
    fn wait_until_healthy(&mut self, name: &str) -> Result<bool> {
        let service = self.compose.service(name)?;
        let words = match &service.healthcheck {
            None => image(&self.compose, service)?.health,
            Some(health) => match &health.test[..] {
                [kind, line] if kind == "CMD-SHELL" => ["sh", "-c", line].map(String::from).into(),
                [kind, words @ ..] if kind == "CMD" => words.to_vec(),
                other => bail!("{other:?} is no command"),
            },
        };
        if words.is_empty() {
            return Ok(false);
        }
        let start = Instant::now();
        loop {
            if let Some(process) = self.running.get_mut(name) {
                process.check().with_context(|| name.to_owned())?;
            }
            let output = self.command(name, &words)?.output()?;
            if output.status.success() {
                return Ok(true);
            }
            let log = self.running.get(name).map(Process::log).unwrap_or_default();
            let errors = String::from_utf8_lossy(&output.stderr);
            ensure!(
                start.elapsed() < LIMIT,
                "{name} is not well: {errors}\n{log}"
            );
            sleep(Duration::from_millis(200));
        }
    }

    /// The address of a service.
    pub fn url(&self, name: &str, port: u16) -> Result<String> {
        Ok(format!("http://127.0.0.1:{}", self.hosts.port(name, port)?))
    }

    /// Where a path of a service's container is.
    pub fn path(&self, name: &str, path: &str) -> Result<PathBuf> {
        let place = self.mounts(name)?.path(path);
        place.with_context(|| format!("{path} is no volume of {name}"))
    }

    /// What serves S3.
    pub fn s3_server(&self) -> &str {
        self.s3_server
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_no_option_reads_are_found() {
        let help = "--one <ONE>\n  One [env: A_ONE=/x]\n--two <TWO>\n  Two [env:\n  A_TWO]";
        let names = ["A_ONE", "A_TWO", "A_TW", "A_THREE"].map(String::from);
        assert_eq!(unknown(help, names.iter()), ["A_TW", "A_THREE"]);
    }
}
