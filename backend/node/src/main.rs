//! The program `persguard-node`: the node, with `work DIR DEVICE` the trainer that the node starts, with `device` what
//! computes here, with `model` what is told of models on disk, with `plan` what a training step will take, with `delta` what two weights files differ in, or with
//! `rerun` a cell of a certificate again.

use std::{ffi::OsStr, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Parser;
use node::config::{Config, TOKEN_VARIABLE, Token};

/// Freed blocks stay with the process: training allocates the same large ones at every step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(
    name = "persguard-node",
    version,
    about = "Leases PersGuard jobs and trains them"
)]
struct Arguments {
    #[command(flatten)]
    config: Config,
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
    let Arguments { config } = Arguments::parse();
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(tracing_subscriber::EnvFilter::try_new(&config.log)?)
        .with_writer(std::io::stderr)
        .init();
    let token =
        Token::from_environment().with_context(|| format!("{TOKEN_VARIABLE} is not set"))?;
    let program = std::env::current_exe().context("finding our own program")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(node::node::run(&config, token, program))?;
    Ok(ExitCode::SUCCESS)
}
