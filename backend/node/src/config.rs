//! Configuration: flags, or the environment. Nobody else in the node reads the environment.

use std::{fmt, path::PathBuf, str::FromStr};

use clap::Args;
use diffusion::device::DeviceName;
use telemetry::TraceConfig;

/// How one node runs.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Where the server is.
    #[arg(long, env = "PERSGUARD_NODE_URL")]
    pub url: String,
    /// What is the machine's own affair.
    #[command(flatten)]
    pub settings: Settings,
}

/// How one node runs on its machine, whatever server it works for.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Cache of models and work in progress.
    #[arg(long, env = "PERSGUARD_NODE_DIR", default_value = "./node")]
    pub directory: PathBuf,
    /// Worker threads of the trainers together; by default every core.
    #[arg(long, env = "PERSGUARD_NODE_THREADS", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
    /// Where jobs compute, separated by commas: `auto`, `all`, `cpu`, `cuda` or `cuda:N`; `auto` is the first NVIDIA device that this build can use, `all` is every one.
    #[arg(
        long = "device",
        env = "PERSGUARD_NODE_DEVICE",
        value_name = "DEVICE",
        default_value = "auto",
        value_delimiter = ','
    )]
    pub devices: Vec<Devices>,
    /// Jobs that share a device, as far as its memory goes.
    #[arg(long, env = "PERSGUARD_NODE_JOBS_PER_DEVICE", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub jobs_per_device: u32,
    /// Folder of networks for faces and for distances to real pictures; without it those are not measured.
    #[arg(long, env = "PERSGUARD_NODE_NETWORKS")]
    pub networks: Option<PathBuf>,
    /// Seconds that a job under way has to end when the node is told to stop; then it is given back.
    #[arg(long, env = "PERSGUARD_NODE_DRAIN_SECONDS", default_value_t = 0)]
    pub drain_seconds: u64,
    /// The program that is started as `PROGRAM work DIR DEVICE` for every job; by default this one.
    #[arg(long, env = "PERSGUARD_NODE_TRAINER")]
    pub trainer: Option<PathBuf>,
    /// Stop when standard input ends: the parent is gone.
    #[arg(long, env = "PERSGUARD_NODE_WATCH_STDIN", default_value = "0",
          value_parser = clap::builder::BoolishValueParser::new(), action = clap::ArgAction::Set)]
    pub watch_stdin: bool,
    /// Where traces go.
    #[command(flatten)]
    pub traces: TraceConfig,
    /// Log filter, such as `info` or `node=debug`.
    #[arg(long, env = "PERSGUARD_LOG", default_value = "info")]
    pub log: String,
}

/// What one word of the setting names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Devices {
    /// One device.
    One(DeviceName),
    /// Every NVIDIA device, or the processor where there is none.
    All,
}

impl FromStr for Devices {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" {
            return Ok(Self::All);
        }
        let unknown =
            |_| format!("there is no device {text:?}: auto, all, cpu, cuda and cuda:N are known");
        text.parse().map(Self::One).map_err(unknown)
    }
}

impl Settings {
    /// Threads that the trainers get together.
    pub fn threads(&self) -> u32 {
        self.threads.unwrap_or_else(|| {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            u32::try_from(cores).unwrap_or(1)
        })
    }
}

/// Name of the variable that holds the node's token.
pub const TOKEN_VARIABLE: &str = "PERSGUARD_NODE_TOKEN";

/// Name of the variable by which the collector of traces knows us.
pub(crate) const COLLECTOR_SECRETS: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// The node's bearer token. It is never printed and never an argument.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Wraps a token.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Reads it from the environment, the only way in.
    pub fn from_environment() -> Option<Self> {
        let text = std::env::var_os(TOKEN_VARIABLE)?.into_string().ok()?;
        (!text.is_empty()).then_some(Self(text))
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: Settings,
    }

    fn devices(words: &[&str]) -> Option<Vec<Devices>> {
        let line = Line::try_parse_from(std::iter::once(&"node").chain(words));
        line.ok().map(|line| line.settings.devices)
    }

    #[test]
    fn devices_are_a_list() {
        use DeviceName::{Auto, Cpu, Cuda};
        use Devices::{All, One};
        assert_eq!(devices(&[]), Some(vec![One(Auto)]));
        let two = devices(&["--device", "cuda:0,cuda:1"]);
        assert_eq!(two, Some(vec![One(Cuda(0)), One(Cuda(1))]));
        assert_eq!(devices(&["--device", "all,cpu"]), Some(vec![All, One(Cpu)]));
        for wrong in ["", "gpu", "cuda:0;cuda:1", "cuda:0,"] {
            assert_eq!(devices(&["--device", wrong]), None, "{wrong}");
        }
        assert_eq!(devices(&["--jobs-per-device", "0"]), None);
    }
}
