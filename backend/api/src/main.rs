//! The program `persguard`: serves, migrates, prints the OpenAPI document, and hands over to `persguard-node` what is
//! part of that.

use std::{
    ffi::{OsStr, OsString},
    io::Write,
};

use api::{config::Config, memory};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "persguard",
    version,
    about = "Protects images against personalization"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the server.
    Serve(Box<Config>),
    /// Bring the database up to date and exit.
    Migrate(Box<Config>),
    /// Print the OpenAPI document.
    Openapi,
    /// Tell what a model on disk is (`model inspect PATH`); part of persguard-node.
    #[command(disable_help_flag = true)]
    Model(Handed),
    /// Tell what a job would take; part of persguard-node.
    #[command(disable_help_flag = true)]
    Plan(Handed),
}

/// Arguments for the program beside this one.
#[derive(clap::Args)]
struct Handed {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Handed {
    fn over(&self, command: &str) -> anyhow::Result<()> {
        Err(api::sibling::hand_over(OsStr::new(command), &self.arguments).into())
    }
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Serve(config) => {
            memory::restart_with_settings();
            start_log(&config.log)?;
            runtime()?.block_on(api::server::serve(*config))
        }
        Command::Migrate(config) => {
            start_log(&config.log)?;
            runtime()?.block_on(api::server::migrate(&config))
        }
        Command::Openapi => {
            let document = api::router::document().to_pretty_json()?;
            writeln!(std::io::stdout(), "{document}")?;
            Ok(())
        }
        Command::Model(handed) => handed.over("model"),
        Command::Plan(handed) => handed.over("plan"),
    }
}

/// Two threads: the work is waiting, and memory is for the trainer.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(16)
        .enable_all()
        .build()
}

fn start_log(filter: &str) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(tracing_subscriber::EnvFilter::try_new(filter)?)
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}
