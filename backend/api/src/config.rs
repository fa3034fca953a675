//! Configuration: flags of `persguard serve`, or the environment. Nobody else reads the environment.

pub mod broker;
pub mod providers;
pub mod storage;

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use shared::api_key::AddressBlock;

use broker::BrokerConfig;
use storage::StorageConfig;
use telemetry::TraceConfig;

/// Ten a second: more than a person clicks.
pub const DEFAULT_REQUESTS_PER_MINUTE: u32 = 600;

/// Some thousand answers.
pub const DEFAULT_RESPONSE_CACHE_BYTES: usize = 16 * 1024 * 1024;

/// How one server runs.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, env = "PERSGUARD_ADDRESS", default_value = "127.0.0.1:7740")]
    pub address: SocketAddr,
    /// Database, artifacts and keys live here.
    #[arg(long, env = "PERSGUARD_DATA_DIR", default_value = "./data")]
    pub data_dir: PathBuf,
    /// `sqlite://…` or `postgres://…`; by default `SQLite` in the data directory.
    #[arg(long, env = "PERSGUARD_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// File that holds the database's address, instead of the address.
    #[arg(long, env = "PERSGUARD_DATABASE_URL_FILE")]
    pub database_url_file: Option<PathBuf>,
    /// The built dashboard; by default the folder `frontend` beside this program, and without that only the API is served.
    #[arg(long, env = "PERSGUARD_FRONTEND_DIR")]
    pub frontend_dir: Option<PathBuf>,
    /// Where people and nodes reach this server; by default the bound address.
    #[arg(long, env = "PERSGUARD_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Start a training node beside the server.
    #[arg(long, env = "PERSGUARD_LOCAL_NODE", default_value_t = true, action = clap::ArgAction::Set)]
    pub local_node: bool,
    /// Worker threads of the local node.
    #[arg(long, env = "PERSGUARD_NODE_THREADS")]
    pub node_threads: Option<u32>,
    /// Create and run the demo project.
    #[arg(long, env = "PERSGUARD_DEMO", default_value_t = false, action = clap::ArgAction::Set)]
    pub demo: bool,
    /// Seconds until an unrenewed lease runs out.
    #[arg(long, env = "PERSGUARD_LEASE_SECONDS", default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub lease_seconds: u32,
    /// Origins of object storage services that base models may be imported from, such as
    /// `https://s3.eu-central-1.amazonaws.com`, with commas between them; by default none.
    #[arg(long, env = "PERSGUARD_S3_ENDPOINTS", value_delimiter = ',', value_parser = origin)]
    pub s3_endpoints: Vec<String>,
    /// The bucket that holds artifacts.
    #[command(flatten)]
    pub storage: StorageConfig,
    /// The broker between several servers.
    #[command(flatten)]
    pub broker: BrokerConfig,
    /// Where traces go.
    #[command(flatten)]
    pub traces: TraceConfig,
    /// The program that reads imported models; by default `persguard-node` beside this one.
    #[arg(long, env = "PERSGUARD_INSPECTOR")]
    pub inspector: Option<PathBuf>,
    /// The program that decodes pictures; by default this one.
    #[arg(long, env = "PERSGUARD_DECODER")]
    pub decoder: Option<PathBuf>,
    /// The folder of the master keys that the keys of organisations are wrapped with; by default `master-keys` in the data
    /// directory. Every server of one database needs the same.
    #[arg(long, env = "PERSGUARD_MASTER_KEYS")]
    pub master_keys: Option<PathBuf>,
    /// Confirmed e-mail addresses of the accounts that decide notices, with commas between them; by default none.
    #[arg(long, env = "PERSGUARD_ADMINISTRATORS", value_delimiter = ',')]
    pub administrators: Vec<String>,
    /// Days after which files of jobs are removed; by default they stay as long as their account.
    #[arg(long, env = "PERSGUARD_RETENTION_DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub retention_days: Option<u32>,
    /// Where security reports go, such as `mailto:security@example.org`.
    #[arg(long, env = "PERSGUARD_SECURITY_CONTACT")]
    pub security_contact: Option<String>,
    /// A TOML file of the `OpenID` Connect providers that people may sign in by, each a table `[[provider]]`; by default none.
    #[arg(long, env = "PERSGUARD_IDENTITY_PROVIDERS")]
    pub identity_providers: Option<PathBuf>,
    /// Let webhooks call this machine itself, over plain http too; for tests and for receivers beside the server.
    #[arg(long, env = "PERSGUARD_WEBHOOK_LOOPBACK", default_value_t = false, action = clap::ArgAction::Set)]
    pub webhook_loopback: bool,
    /// Where letters are handed over, such as `smtps://user:password@mail.example.org`; without it they
    /// are kept as files under `outbox` in the data directory.
    #[arg(long, env = "PERSGUARD_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<String>,
    /// File that holds the mail server's address, instead of the address.
    #[arg(long, env = "PERSGUARD_SMTP_URL_FILE")]
    pub smtp_url_file: Option<PathBuf>,
    /// Who letters come from.
    #[arg(
        long,
        env = "PERSGUARD_MAIL_SENDER",
        default_value = "PersGuard <persguard@localhost>"
    )]
    pub mail_sender: String,
    /// Addresses of proxies whose `X-Forwarded-For` is believed, with commas between them.
    #[arg(long, env = "PERSGUARD_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<AddressBlock>,
    /// Requests that one caller may send in a minute; more of them make as much more room for uploads, launches and
    /// notices.
    #[arg(long, env = "PERSGUARD_REQUESTS_PER_MINUTE", default_value_t = DEFAULT_REQUESTS_PER_MINUTE,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub requests_per_minute: u32,
    /// Bytes of answers that are kept in memory until something is written; 0 keeps none.
    #[arg(long, env = "PERSGUARD_RESPONSE_CACHE_BYTES", default_value_t = DEFAULT_RESPONSE_CACHE_BYTES)]
    pub response_cache_bytes: usize,
    /// Jobs of one organisation that may wait or run at once.
    #[arg(long, env = "PERSGUARD_ACTIVE_JOBS", default_value_t = shared::limits::MAX_ACTIVE_JOBS as u64)]
    pub active_jobs: u64,
    /// Jobs that the cells of one study are dealt to at most: two for each device that can run them, and at least 16 where
    /// this allows them. They count as one active job for each 16.
    #[arg(long, env = "PERSGUARD_STUDY_JOBS", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub study_jobs: u32,
    /// Bytes of pictures, models and results that one organisation may keep; by default as many as the store holds.
    #[arg(long, env = "PERSGUARD_STORAGE_QUOTA")]
    pub storage_quota: Option<u64>,
    /// File that holds the token which readers of `/metrics` show; without it nobody reads them.
    #[arg(long, env = "PERSGUARD_METRICS_TOKEN_FILE")]
    pub metrics_token_file: Option<PathBuf>,
    /// What that file holds.
    #[arg(skip)]
    pub metrics_token: Option<String>,
    /// Where the local node's log goes, if not to this program's own.
    #[arg(skip)]
    pub node_log: Option<PathBuf>,
    /// Log filter, such as `info` or `api=debug`.
    #[arg(long, env = "PERSGUARD_LOG", default_value = "info")]
    pub log: String,
}

impl Config {
    /// Reads the files that hold secrets.
    pub fn with_secrets(mut self) -> anyhow::Result<Self> {
        let database = (&mut self.database_url, &mut self.database_url_file);
        read_secret(database, "PERSGUARD_DATABASE_URL")?;
        let smtp = (&mut self.smtp_url, &mut self.smtp_url_file);
        read_secret(smtp, "PERSGUARD_SMTP_URL")?;
        let broker = (&mut self.broker.url, &mut self.broker.url_file);
        read_secret(broker, "PERSGUARD_NATS_URL")?;
        let token = (&mut self.metrics_token, &mut self.metrics_token_file);
        read_secret(token, "PERSGUARD_METRICS_TOKEN")?;
        Ok(self)
    }

    /// The database to connect to.
    pub fn database_url(&self) -> String {
        self.database_url.clone().unwrap_or_else(|| {
            let path = self.data_dir.join("persguard.sqlite");
            format!("sqlite://{}?mode=rwc", path.display())
        })
    }

    /// Where the master keys are.
    pub fn master_keys(&self) -> PathBuf {
        let own = || self.data_dir.join("master-keys");
        self.master_keys.clone().unwrap_or_else(own)
    }
}

/// Moves the content of a file to where the value itself would stand.
fn read_secret(
    (value, file): (&mut Option<String>, &mut Option<PathBuf>),
    name: &str,
) -> anyhow::Result<()> {
    let Some(path) = file.take() else {
        return Ok(());
    };
    if value.is_some() {
        bail!("{name} and {name}_FILE are both set: choose one");
    }
    let text = std::fs::read_to_string(&path);
    let text = text.with_context(|| format!("{name}_FILE: {} cannot be read", path.display()))?;
    let text = text.trim();
    if text.is_empty() {
        bail!("{name}_FILE: {} is empty", path.display());
    }
    *value = Some(text.to_owned());
    Ok(())
}

/// Every setting with what it means and its default, as a file of variables in which nothing is set.
pub fn example() -> String {
    let settings = Config::augment_args(clap::Command::new("persguard"));
    let entries: Vec<String> = settings.get_arguments().filter_map(entry).collect();
    format!(
        "# Settings of `persguard serve`: take away the # before what you change.\n\n{}",
        entries.join("\n")
    )
}

fn entry(setting: &clap::Arg) -> Option<String> {
    let name = setting.get_env()?.to_string_lossy();
    let meaning = setting.get_long_help().or(setting.get_help())?.to_string();
    let meaning: Vec<&str> = meaning.split_whitespace().collect();
    let default = setting.get_default_values().first();
    let default = default.map(|value| value.to_string_lossy());
    Some(format!(
        "# {}\n#{name}={}\n",
        meaning.join(" "),
        default.unwrap_or_default()
    ))
}

/// A variable that looks like a setting and is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownVariable {
    /// Its name.
    pub name: String,
    /// The setting whose name is nearest.
    pub meant: Option<String>,
}

/// Variables of other programs of the product, and of its build.
const OTHERS: [&str; 3] = [
    "PERSGUARD_SERVER",
    "PERSGUARD_API_KEY",
    "PERSGUARD_WASM_TOOLCHAIN",
];
/// What `persguard-node` reads; a local node gets the environment of the server that starts it.
const OF_NODES: [&str; 10] = [
    "PERSGUARD_NODE_DEVICE",
    "PERSGUARD_NODE_DIR",
    "PERSGUARD_NODE_DRAIN_SECONDS",
    "PERSGUARD_NODE_JOBS_PER_DEVICE",
    "PERSGUARD_NODE_NETWORKS",
    "PERSGUARD_NODE_THREADS",
    "PERSGUARD_NODE_TOKEN",
    "PERSGUARD_NODE_TRAINER",
    "PERSGUARD_NODE_URL",
    "PERSGUARD_NODE_WATCH_STDIN",
];
/// Letters in which a misspelt name may differ.
const LIKE: usize = 3;

/// Every `PERSGUARD_…` variable of this process that no program reads.
pub fn unknown_variables() -> Vec<UnknownVariable> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    unknown(names)
}

fn unknown(names: impl Iterator<Item = String>) -> Vec<UnknownVariable> {
    let settings = Config::augment_args(clap::Command::new("persguard"));
    let settings = settings.get_arguments().filter_map(clap::Arg::get_env);
    let settings: Vec<String> = settings
        .map(|name| name.to_string_lossy().into_owned())
        .chain(OTHERS.map(str::to_owned))
        .chain(OF_NODES.map(str::to_owned))
        .collect();
    let ours = names.filter(|name| name.starts_with("PERSGUARD_"));
    let strange = ours.filter(|name| !settings.contains(name));
    let mut unknown: Vec<UnknownVariable> = strange
        .map(|name| {
            let nearest = settings
                .iter()
                .map(|setting| (strsim::levenshtein(setting, &name), setting))
                .min();
            let meant = nearest.filter(|(distance, _)| *distance <= LIKE);
            UnknownVariable {
                meant: meant.map(|(_, setting)| setting.clone()),
                name,
            }
        })
        .collect();
    unknown.sort_by(|a, b| a.name.cmp(&b.name));
    unknown
}

/// An origin as requests must name it: scheme, host and port, and nothing after them.
fn origin(text: &str) -> Result<String, String> {
    let origin = text.trim().trim_end_matches('/');
    let host = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', '@', '?', '#', ' ']) => {
            Ok(origin.to_owned())
        }
        _ => Err("give an origin such as https://s3.example.org".to_owned()),
    }
}

/// The value of a variable whose name a file of settings gives.
fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).and_then(|value| value.into_string().ok())
}

#[cfg(test)]
mod tests {
    use super::{UnknownVariable, example, origin, unknown};

    #[test]
    fn example_names_every_setting_and_sets_none() {
        let file = example();
        let lines = file.lines().filter_map(|line| line.strip_prefix('#'));
        let set = lines.filter(|line| line.starts_with("PERSGUARD_"));
        let set: Vec<(&str, &str)> = set.filter_map(|line| line.split_once('=')).collect();
        assert!(set.len() > 40, "{file}");
        for pair in [
            ("PERSGUARD_ADDRESS", "127.0.0.1:7740"),
            ("PERSGUARD_STORAGE_REGION", "us-east-1"),
            ("PERSGUARD_DATABASE_URL", ""),
        ] {
            assert!(set.contains(&pair), "{pair:?} is not in\n{file}");
        }
        let names = set.iter().map(|(name, _)| (*name).to_owned());
        assert!(unknown(names).is_empty());
        assert!(
            file.lines()
                .all(|line| line.is_empty() || line.starts_with('#'))
        );
    }

    #[test]
    fn misspelt_variables_are_found() {
        let names = [
            "PATH",
            "PERSGUARD_ADRESS",
            "PERSGUARD_DATA_DIR",
            "PERSGUARD_NODE_DEVICE",
            "PERSGUARD_SERVER",
            "PERSGUARD_COLOUR_OF_THE_SKY",
        ];
        let found = unknown(names.into_iter().map(str::to_owned));
        let expected = [
            ("PERSGUARD_ADRESS", Some("PERSGUARD_ADDRESS")),
            ("PERSGUARD_COLOUR_OF_THE_SKY", None),
        ]
        .map(|(name, meant)| UnknownVariable {
            name: name.into(),
            meant: meant.map(str::to_owned),
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn only_origins_are_allowed() {
        assert_eq!(
            origin("https://s3.example.org/").as_deref(),
            Ok("https://s3.example.org")
        );
        assert!(origin("http://127.0.0.1:9000").is_ok());
        for bad in [
            "",
            "s3.example.org",
            "https://",
            "https://a/b",
            "https://u@a",
            "file:///x",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }
}
