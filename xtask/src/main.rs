//! Build and run commands: `cargo xtask demo | test | dev | dist | bench | fuzz | pretrain | python-client | fixtures`.
//!
//! Owns set-up: what is missing on the machine is installed, what is built lands in one cache
//! outside the clone. Refuses product logic: it starts the programs and reads their public answers.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a build command talks to the person who runs it"
)]

mod apt;
mod audit;
mod browser;
mod cache;
mod chaos;
mod claim;
mod commands;
mod compatibility;
mod contract;
mod cuda;
mod demo;
mod dist;
mod figures;
mod fuzz;
mod http;
mod images;
mod nats;
mod npm;
mod python_client;
mod stages;
mod storage;
mod toolchain;
mod web;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds and runs PersGuard")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sets everything up, protects a bundled subject, attacks it, and shows the gallery.
    Demo(demo::DemoOptions),
    /// Sets everything up and runs every check.
    Test(stages::Options),
    /// Builds and serves without the demo project.
    Dev(demo::Options),
    /// Makes the archive of the product in `target/dist`: programs, dashboard, demo, sums, bill of materials, notices.
    Dist(dist::Options),
    /// Trains the demo world's base model.
    Pretrain {
        /// Passed on to the trainer.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs a benchmark.
    Bench {
        /// `diffusion` (training, sampling, autoencoder and text against `PyTorch`), `protect` (the demo benchmark),
        /// `eval` (the attack matrix with report and certificate),
        /// `method` (the paper's method beside ours), `ablation` (losses, weights and persistence one at a time), `capacity` (1 to 10 concepts in one model),
        /// `step` (where an injection step spends its time), `plan` (planned against measured memory and time),
        /// `storage` (artifacts against a bare copy and a plain client, then a server under many files and a large one;
        /// `[MIB [ROUNDS [FILES [MIB OF WEIGHTS]]]]`),
        /// `api` (reads and job creation under load, beside a bare server),
        /// `soak` (everything at once for a quarter of an hour: no error, no growth) or
        /// `dispatch` (from a request to a node's hands, jobs a second, what an idle node costs).
        name: String,
        /// Passed on to the benchmark.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Searches for inputs that break a parser, for as long as it is told; what it finds stays for the next search.
    Fuzz(fuzz::Options),
    /// Generates the Python client from the OpenAPI document; `pip install` takes the folder.
    PythonClient {
        /// Where to.
        #[arg(long, default_value = "target/python-client")]
        to: std::path::PathBuf,
    },
    /// Writes the reference values of the numeric tests anew, with diffusers.
    Fixtures {
        /// Writes nothing; compares with the values that are there, and has diffusers load what is saved here.
        #[arg(long)]
        check: bool,
    },
}

fn carry_out(command: Command) -> anyhow::Result<()> {
    claim::claim()?;
    match command {
        Command::Demo(options) => demo::demo(&options),
        Command::Dev(options) => demo::dev(&options),
        Command::Test(options) => stages::check(&options),
        Command::Dist(options) => dist::make(&options),
        Command::Pretrain { arguments } => commands::pretrain(&arguments),
        Command::Bench { name, arguments } => commands::bench(&name, &arguments),
        Command::Fuzz(options) => fuzz::search(&options),
        Command::PythonClient { to } => python_client::generate(&to),
        Command::Fixtures { check: false } => commands::fixtures(),
        Command::Fixtures { check: true } => commands::check_fixtures(),
    }
}

fn main() -> ExitCode {
    match carry_out(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
