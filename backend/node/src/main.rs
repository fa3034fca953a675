//! The program `persguard-node`: the node as its server starts it, with `join URL TOKEN` and `run` the node of another
//! machine, with `work DIR DEVICE` the trainer that the node starts, with `device` what
//! computes here, with `model` what is told of models on disk, with `plan` what a training step will take, with `delta` what two weights files differ in, or with
//! `rerun` a cell of a certificate again.

use std::{
    ffi::OsStr,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::Parser;
use node::{
    config::{Config, Settings, TOKEN_VARIABLE, Token},
    join::{self, Join, Membership},
};
use telemetry::Service;

/// Freed blocks stay with the process: training allocates the same large ones at every step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(
    name = "persguard-node",
    version,
    about = "Leases PersGuard jobs and trains them",
    after_help = "On another machine than the server's: persguard-node join URL TOKEN, then persguard-node run."
)]
struct Arguments {
    #[command(flatten)]
    config: Config,
}

/// Works for the server that this directory joined, until it is told to stop.
#[derive(Parser)]
#[command(name = "persguard-node run", bin_name = "persguard-node run", version)]
struct Run {
    #[command(flatten)]
    settings: Settings,
}

fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_deref().and_then(OsStr::to_str) {
        Some("work") => {
            let directory = arguments.next().map(PathBuf::from);
            let directory = directory.context("work needs a directory")?;
            let device = arguments.next().context("work needs a device")?;
            let device = device.to_string_lossy().parse()?;
            return Ok(node::work::run(&directory, device));
        }
        Some("device") => return Ok(node::device::run(arguments)),
        Some("model") => return Ok(node::model::run(arguments)),
        Some("delta") => return Ok(node::delta::run(arguments)),
        Some("plan") => return Ok(node::plan::run(arguments)),
        Some("rerun") => return Ok(node::rerun::run(arguments)),
        _ => {}
    }
    let words = std::env::args_os();
    match std::env::args_os()
        .nth(1)
        .as_deref()
        .and_then(OsStr::to_str)
    {
        Some("join") => {
            let request = Join::parse_from(words.skip(1));
            let joined = runtime()?.block_on(join::join(&request))?;
            writeln!(io::stdout(), "{joined}")?;
            if !request.run {
                return Ok(ExitCode::SUCCESS);
            }
            run_joined(request.settings)
        }
        Some("run") => run_joined(Run::parse_from(words.skip(1)).settings),
        _ => {
            let Arguments { config } = Arguments::parse();
            let token = Token::from_environment()
                .with_context(|| format!("{TOKEN_VARIABLE} is not set"))?;
            run(&config, token)
        }
    }
}

/// Works for the server that this directory joined.
fn run_joined(settings: Settings) -> Result<ExitCode> {
    let joined = Membership::read(&settings.directory)?;
    let config = Config {
        url: joined.url.clone(),
        settings,
    };
    run(&config, joined.token())
}

fn run(config: &Config, token: Token) -> Result<ExitCode> {
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(tracing_subscriber::EnvFilter::try_new(
            &config.settings.log,
        )?)
        .with_writer(std::io::stderr)
        .init();
    let program = std::env::current_exe().context("finding our own program")?;
    let runtime = runtime()?;
    let traces = &config.settings.traces;
    let _traces = telemetry::start(traces, Service::Node, runtime.handle())?;
    runtime.block_on(node::node::run(config, token, program))?;
    Ok(ExitCode::SUCCESS)
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}
