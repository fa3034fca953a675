//! The machine: what a server would do at its start, tried once.

use std::{fs, path::Path, time::Duration};

use shared::Timestamp;
use store::Store;
use tokio::{net::TcpListener, process::Command, time::timeout};

use super::Finding;
use crate::{
    app::nodes::ONLINE_MILLISECONDS,
    clock::{Clock, SystemClock},
    config::Config,
    disk,
    dispatch::broker::ask,
    sibling,
};

/// Space for the demo and a few small models.
const LEAST_DISK_BYTES: u64 = 2 << 30;
/// Memory in which the demo's trainer and the server work.
const LEAST_MEMORY_BYTES: u64 = 1 << 30;
/// This was written then: no clock is right that says less. 2026-11-26.
const WRITTEN_MILLISECONDS: i64 = 1_795_651_200_000;
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let config = config
        .clone()
        .with_secrets()
        .unwrap_or_else(|_| config.clone());
    let now = SystemClock.now();
    let mut found = vec![
        clock(now),
        directory(&config.data_dir),
        disk(&config.data_dir),
    ];
    found.push(memory());
    found.push(confinement());
    found.push(port(&config).await);
    found.extend(database(&config, now).await);
    found.extend(broker(&config).await);
    found.extend(storage(&config).await);
    found.push(node(&config).await);
    found
}

fn clock(now: Timestamp) -> Finding {
    let text = now.rfc3339();
    if now.milliseconds() < WRITTEN_MILLISECONDS {
        return Finding::wrong(
            "clock",
            format!("It says {text}, which is before this program was made."),
        );
    }
    Finding::good("clock", text)
}

/// The folder itself, or the first above it that there is.
fn existing(path: &Path) -> &Path {
    path.ancestors()
        .find(|path| path.is_dir())
        .unwrap_or(Path::new("."))
}

fn directory(path: &Path) -> Finding {
    let place = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = existing(&place);
    let trial = folder.join(format!(".persguard-doctor-{}", std::process::id()));
    let written = fs::write(&trial, b"x");
    let _ = fs::remove_file(&trial);
    let name = folder.display();
    match written {
        Err(error) => Finding::wrong(
            "data",
            format!("Nothing can be written to {name}: {error}."),
        ),
        Ok(()) if folder == place => Finding::good("data", format!("{name} can be written to.")),
        Ok(()) => Finding::good(
            "data",
            format!("{} will be made in {name}.", place.display()),
        ),
    }
}

fn disk(path: &Path) -> Finding {
    let place = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match disk::free_bytes(existing(&place)) {
        Err(error) => Finding::odd("disk", format!("The free space is not known: {error}.")),
        Ok(bytes) => enough("disk", "free", bytes, LEAST_DISK_BYTES),
    }
}

fn memory() -> Finding {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    match kilobytes {
        None => Finding::odd("memory", "The system does not say what is available."),
        Some(kilobytes) => enough("memory", "available", kilobytes * 1024, LEAST_MEMORY_BYTES),
    }
}

/// What decoder, reader of models and trainer cannot do here.
fn confinement() -> Finding {
    let sandbox::Level { files, sockets } = sandbox::level();
    match (files, sockets) {
        (true, true) => Finding::good(
            "sandbox",
            "Decoder and trainer reach no other file (Landlock) and no other machine (seccomp).",
        ),
        (false, true) => Finding::odd(
            "sandbox",
            "Decoder and trainer reach no other machine, but every file of this user: the kernel has no Landlock.",
        ),
        (_, false) => Finding::odd(
            "sandbox",
            "Decoder and trainer are not confined: the kernel has no seccomp filters.",
        ),
    }
}

fn enough(name: &str, what: &str, bytes: u64, least: u64) -> Finding {
    let text = format!("{:.1} GiB {what}", gib(bytes));
    if bytes < least {
        return Finding::wrong(
            name,
            format!(
                "{text}; {:.0} GiB are the least that the demo works in.",
                gib(least)
            ),
        );
    }
    Finding::good(name, text)
}

async fn port(config: &Config) -> Finding {
    let address = config.address;
    let Err(error) = TcpListener::bind(address).await else {
        return Finding::good("port", format!("{address} is free."));
    };
    if error.kind() != std::io::ErrorKind::AddrInUse {
        return Finding::wrong("port", format!("Nobody can listen on {address}: {error}."));
    }
    let asked = timeout(PATIENCE, reqwest::get(format!("http://{address}/readyz"))).await;
    match asked {
        Ok(Ok(answer)) => match answer.text().await.as_deref() {
            Ok(state) if state.starts_with("ready") => Finding::good(
                "port",
                format!("A server answers on {address}, and is {}.", state.trim()),
            ),
            _ => Finding::wrong(
                "port",
                format!("What listens on {address} is no PersGuard that is ready."),
            ),
        },
        _ => Finding::wrong(
            "port",
            format!("Something listens on {address} and does not answer."),
        ),
    }
}

async fn database(config: &Config, now: Timestamp) -> Vec<Finding> {
    let url = config.database_url();
    if config.database_url.is_none() && !config.data_dir.join("persguard.sqlite").is_file() {
        return vec![Finding::good(
            "database",
            "There is none yet: the first start makes it.",
        )];
    }
    let store = match timeout(PATIENCE, Store::connect(&url)).await {
        Err(_) => return vec![Finding::wrong("database", "It does not answer.")],
        Ok(Err(error)) => {
            return vec![Finding::wrong(
                "database",
                format!("It lets nobody in: {error}."),
            )];
        }
        Ok(Ok(store)) => store,
    };
    let mut found = match timeout(PATIENCE, store.ping()).await {
        Ok(Ok(())) => vec![Finding::good("database", "It answers.")],
        Ok(Err(error)) => vec![Finding::wrong("database", format!("{error}."))],
        Err(_) => vec![Finding::wrong("database", "It does not answer.")],
    };
    let since = Timestamp::from_milliseconds(now.milliseconds() - ONLINE_MILLISECONDS);
    found.push(match store.list_nodes_online(since).await {
        Err(error) => Finding::odd(
            "nodes",
            format!("Not known, before the first start perhaps: {error}."),
        ),
        Ok(nodes) if nodes.is_empty() => Finding::odd(
            "nodes",
            "None gave a sign of life in the last 30 seconds: jobs wait.",
        ),
        Ok(nodes) => {
            let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
            Finding::good(
                "nodes",
                format!("{} online: {}", nodes.len(), names.join(", ")),
            )
        }
    });
    let _ = store.close().await;
    found
}

async fn broker(config: &Config) -> Option<Finding> {
    const NAME: &str = "broker";
    config.broker.url.as_ref()?;
    Some(match timeout(PATIENCE, ask(&config.broker)).await {
        Ok(Ok(version)) => Finding::good(NAME, format!("NATS {version} answers.")),
        // Addresses may hold passwords: errors of the connection do not repeat them.
        Ok(Err(error)) => Finding::wrong(NAME, format!("It lets nobody in: {error}.")),
        Err(_) => Finding::wrong(NAME, "It does not answer."),
    })
}

async fn storage(config: &Config) -> Vec<Finding> {
    let Ok(Some(settings)) = config.storage.settings() else {
        return Vec::new();
    };
    let origin = config
        .public_url
        .as_deref()
        .map(|url| url.trim_end_matches('/'));
    let tried = artifacts::check(settings, origin).await;
    let tried = tried.into_iter().map(|finding| match finding.outcome {
        Ok(text) => Finding::good(&format!("bucket: {}", finding.name), text),
        Err(text) => Finding::wrong(&format!("bucket: {}", finding.name), text),
    });
    tried.collect()
}

/// Whether the program beside this one is there, of the same version, and what it computes on.
async fn node(config: &Config) -> Finding {
    const NAME: &str = "node";
    let absent = |text: String| {
        if config.local_node {
            Finding::wrong(NAME, text)
        } else {
            Finding::odd(
                NAME,
                format!("{text} No local node is asked for, but imports are read by it."),
            )
        }
    };
    let program = match sibling::program() {
        Ok(program) => program,
        Err(error) => {
            return absent(format!(
                "This program does not know where it lies: {error}."
            ));
        }
    };
    let version = match said(&program, "--version").await {
        Ok(version) => version,
        Err(error) => return absent(format!("{} does not run: {error}.", program.display())),
    };
    let ours = env!("CARGO_PKG_VERSION");
    if version.split_whitespace().last() != Some(ours) {
        return Finding::wrong(
            NAME,
            format!("{} is `{version}`; this is {ours}.", program.display()),
        );
    }
    match said(&program, "device").await {
        Ok(device) => Finding::good(NAME, format!("{version}, {}", computes_on(&device))),
        Err(error) => Finding::wrong(NAME, format!("It cannot compute: {error}.")),
    }
}

/// What the node's JSON says of its device.
fn computes_on(device: &str) -> String {
    let device: serde_json::Value = serde_json::from_str(device).unwrap_or_default();
    let model = device["model"].as_str().unwrap_or("an unknown device");
    match device["memory_bytes"].as_u64() {
        Some(bytes) => format!("computes on {model}, {:.1} GiB", gib(bytes)),
        None => format!("computes on {model}"),
    }
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

async fn said(program: &Path, argument: &str) -> Result<String, String> {
    let run = Command::new(program)
        .arg(argument)
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, run).await;
    let output = output.map_err(|_| "it does not answer".to_owned())?;
    let output = output.map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Mark;

    #[test]
    fn too_little_is_told() {
        assert_eq!(
            enough("disk", "free", 3 << 30, LEAST_DISK_BYTES).mark,
            Mark::Good
        );
        let finding = enough("disk", "free", 1 << 30, LEAST_DISK_BYTES);
        assert_eq!(finding.mark, Mark::Wrong);
        assert!(
            finding.text.starts_with("1.0 GiB free; 2 GiB"),
            "{}",
            finding.text
        );
        assert_eq!(clock(Timestamp::from_milliseconds(0)).mark, Mark::Wrong);
        let device = r#"{"name":"cpu","model":"CPU","memory_bytes":1073741824}"#;
        assert_eq!(computes_on(device), "computes on CPU, 1.0 GiB");
        assert_eq!(computes_on("no JSON"), "computes on an unknown device");
    }

    #[test]
    fn folder_that_is_not_there_is_tried_above_and_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let finding = directory(&folder.path().join("a/b"));
        assert_eq!(finding.mark, Mark::Good, "{}", finding.text);
        assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 0);
        assert_eq!(directory(Path::new("/proc/persguard")).mark, Mark::Wrong);
    }
}
