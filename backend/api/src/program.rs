//! The program `persguard`: serves, migrates, uses a server from afar (`cli`), and hands over to `persguard-node` what is
//! part of that.
//!
//! It lies in the library: what a program polls for the first time is compiled with the program, and everything would be
//! compiled twice.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{BufReader, IsTerminal, Read, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use telemetry::Service;

use crate::{
    app::audit,
    backup,
    config::{self, Config, storage::StorageConfig},
    demonstration, doctor, signing, storage_check,
};

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
    #[command(flatten)]
    Remote(cli::Command),
    /// Print what a shell needs to complete these commands, such as `persguard completion bash`.
    Completion {
        /// The shell.
        shell: cli::Shell,
    },
    /// Start the server.
    Serve(Box<Config>),
    /// Start the server, protect a bundled subject, attack it, and tell the verdict.
    Demo(Box<demonstration::Options>),
    /// Look at the settings of `serve`, without starting anything.
    #[command(subcommand)]
    Config(Settings),
    /// Try what a server needs: database, storage, port, disk, memory, node and clock.
    Doctor(Box<Config>),
    /// Ask the server of this machine whether it is ready; for health checks where no other program is.
    Ready {
        /// Where it listens.
        #[arg(long, env = "PERSGUARD_ADDRESS", default_value = "127.0.0.1:7740")]
        address: SocketAddr,
    },
    /// Bring the database up to date and exit.
    Migrate(Box<Config>),
    /// Clean one picture from the standard input; the server starts this for every upload.
    #[command(name = crate::images::child::COMMAND, hide = true)]
    DecodePicture,
    /// Print the OpenAPI document.
    Openapi,
    /// Tell what a model on disk is (`model inspect PATH`); part of persguard-node.
    #[command(disable_help_flag = true)]
    Model(Handed),
    /// Tell what a job would take; part of persguard-node.
    #[command(disable_help_flag = true)]
    Plan(Handed),
    /// Keep of a protected model only what changed (`delta make | apply`); part of persguard-node.
    #[command(disable_help_flag = true)]
    Delta(Handed),
    /// Save everything of an instance in a folder, beside a running server or without one; again: what is new.
    Backup(Box<backup::command::Backup>),
    /// Put a backup into a fresh data directory and a fresh database; each object is checked on the way.
    Restore(Box<backup::command::Restore>),
    /// Change the keys that protected pictures are sealed with.
    #[command(subcommand)]
    Keys(Keys),
    /// Look at the object storage, without any server.
    #[command(subcommand)]
    Storage(Storage),
    /// Check an exported audit log, without any server.
    #[command(subcommand)]
    Audit(Audit),
    /// Tell whether a certificate is what its issuer signed, without any server or network.
    Verify {
        /// The certificate.
        file: PathBuf,
        /// The issuer's keys, as its server answers under `/v1/signing-keys`; without them the key that the file names
        /// is taken.
        #[arg(long)]
        key: Option<PathBuf>,
        /// Print JSON for programs instead of text for people.
        #[arg(long)]
        json: bool,
    },
    /// Run one cell of a certificate again and compare every number (`rerun FILE --cell N`); part of persguard-node.
    #[command(disable_help_flag = true)]
    Rerun(Handed),
    /// Look at signed revocations, without any server.
    #[command(subcommand)]
    Revocation(Revocation),
}

#[derive(Subcommand)]
enum Keys {
    /// Make a new master key and a new key for every organisation, seal every picture anew, and destroy the old keys.
    /// Safe to break off and to run again, also beside a running server.
    Rotate(Box<Config>),
}

#[derive(Subcommand)]
enum Settings {
    /// Say what is wrong with them; takes the same flags and variables as `serve`.
    Check(Box<Config>),
    /// Print all of them with their defaults, as a file of variables for systemd (`EnvironmentFile`) or containers.
    Example,
}

#[derive(Subcommand)]
enum Storage {
    /// Try everything that the product does with its bucket; every line says ok or what to fix.
    Check {
        #[command(flatten)]
        storage: Box<StorageConfig>,
        /// Origin of the dashboard, such as `https://persguard.example.org`: may its pages upload?
        #[arg(long, env = "PERSGUARD_PUBLIC_URL")]
        origin: Option<String>,
    },
}

#[derive(Subcommand)]
enum Revocation {
    /// Tell whether a revocation is what its server signed.
    Verify {
        /// The revocation as it was downloaded.
        file: PathBuf,
        /// What the server answers under `/v1/signing-keys`.
        #[arg(long)]
        key: PathBuf,
    },
}

#[derive(Subcommand)]
enum Audit {
    /// Tell whether an export is complete and unchanged.
    Verify {
        /// The log as `GET /v1/audit-events/export` gave it.
        file: PathBuf,
        /// What the server answers under `/v1/signing-keys`; without it, entries cut off at the end go unseen.
        #[arg(long)]
        key: Option<PathBuf>,
    },
}

impl Command {
    /// Whether the program beside this one does it.
    #[cfg(unix)]
    const fn is_handed(&self) -> bool {
        matches!(
            self,
            Self::Model(_) | Self::Plan(_) | Self::Delta(_) | Self::Rerun(_)
        )
    }
}

/// Arguments for the program beside this one.
#[derive(clap::Args)]
struct Handed {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Handed {
    fn over(&self, command: &str) -> anyhow::Result<()> {
        Err(crate::sibling::hand_over(OsStr::new(command), &self.arguments).into())
    }
}

/// Carries out the command line.
pub fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Remote(command) => Ok(cli::run(&command)),
        other => carry_out(other).map(|()| ExitCode::SUCCESS),
    }
}

fn carry_out(command: Command) -> anyhow::Result<()> {
    // Databases, logs and pictures are nobody else's to read, whatever folder they are told to lie in; what people make
    // for themselves follows their own mask.
    #[cfg(unix)]
    if !command.is_handed() {
        rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    }
    match command {
        Command::Remote(_) => Ok(()),
        Command::Completion { shell } => {
            let program = Arguments::command();
            Ok(cli::complete(shell, program, std::io::stdout())?)
        }
        Command::Serve(config) => {
            start_log(&config.log)?;
            let runtime = runtime()?;
            let _traces = telemetry::start(&config.traces, Service::Server, runtime.handle())?;
            runtime.block_on(crate::server::serve(*config))
        }
        Command::Demo(mut options) => {
            let log = demonstration::prepare(&mut options)?;
            log_to(&options.config.log, std::sync::Mutex::new(log))?;
            let mut out = std::io::stdout();
            let live = out.is_terminal();
            let runtime = runtime()?;
            let traces = &options.config.traces;
            let _traces = telemetry::start(traces, Service::Server, runtime.handle())?;
            runtime.block_on(demonstration::run(*options, live, &mut out))
        }
        Command::Config(Settings::Check(config)) => {
            doctor::check_settings(&config, &mut std::io::stdout())
        }
        Command::Config(Settings::Example) => {
            Ok(std::io::stdout().write_all(config::example().as_bytes())?)
        }
        Command::Doctor(config) => {
            runtime()?.block_on(doctor::examine(&config, &mut std::io::stdout()))
        }
        Command::Ready { address } => runtime()?.block_on(doctor::ask(address)),
        Command::Migrate(config) => {
            start_log(&config.log)?;
            runtime()?.block_on(crate::server::migrate(&config))
        }
        Command::DecodePicture => Ok(crate::images::child::answer(
            std::io::stdin().lock(),
            std::io::stdout().lock(),
        )?),
        Command::Openapi => {
            let document = crate::router::document().to_pretty_json()?;
            writeln!(std::io::stdout(), "{document}")?;
            Ok(())
        }
        Command::Model(handed) => handed.over("model"),
        Command::Plan(handed) => handed.over("plan"),
        Command::Delta(handed) => handed.over("delta"),
        Command::Backup(wanted) => {
            start_log("warn")?;
            runtime()?.block_on(wanted.run(&mut std::io::stdout()))
        }
        Command::Restore(wanted) => {
            start_log("warn")?;
            runtime()?.block_on(wanted.run(&mut std::io::stdout()))
        }
        Command::Keys(Keys::Rotate(config)) => rotate_keys(*config),
        Command::Storage(Storage::Check { storage, origin }) => runtime()?.block_on(
            storage_check::run(&storage, origin.as_deref(), &mut std::io::stdout()),
        ),
        Command::Rerun(handed) => handed.over("rerun"),
        Command::Verify { file, key, json } => verify_certificate(&file, key.as_deref(), json),
        Command::Revocation(Revocation::Verify { file, key }) => verify(&file, &key),
        Command::Audit(Audit::Verify { file, key }) => verify_audit(&file, key.as_deref()),
    }
}

fn rotate_keys(config: Config) -> anyhow::Result<()> {
    start_log("warn")?;
    let done = runtime()?.block_on(crate::server::rotate_keys(config))?;
    let mut out = std::io::stdout();
    writeln!(out, "Organisations with a new key: {}", done.data_keys)?;
    writeln!(out, "Pictures sealed anew:         {}", done.pictures)?;
    writeln!(out, "Keys wrapped anew:            {}", done.rewrapped)?;
    writeln!(out, "Old keys destroyed:           {}", done.destroyed)?;
    Ok(())
}

fn verify_certificate(file: &Path, key: Option<&Path>, json: bool) -> anyhow::Result<()> {
    let found = crate::certificate::verify(file, key);
    let mut out = std::io::stdout();
    if json {
        let detail = match &found {
            Ok(lines) => lines.trim_end().to_owned(),
            Err(error) => format!("{error:#}"),
        };
        let document = serde_json::json!({ "valid": found.is_ok(), "detail": detail });
        writeln!(out, "{document}")?;
        found?;
        return Ok(());
    }
    Ok(out.write_all(found?.as_bytes())?)
}

fn verify(file: &Path, key: &Path) -> anyhow::Result<()> {
    let found = signing::verify(&read(file)?, &read(key)?)?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "Valid. The protection of \"{} {}\" was withdrawn on {}.",
        found.identifier,
        found.class_name,
        found.revoked_at.rfc3339()
    )?;
    writeln!(
        out,
        "U-Net that held it:      {}",
        found.earlier_unet_sha256
    )?;
    writeln!(out, "U-Net without it:        {}", found.unet_sha256)?;
    writeln!(out, "Signed with the key:     {}", found.key_id)?;
    Ok(())
}

fn verify_audit(file: &Path, key: Option<&Path>) -> anyhow::Result<()> {
    let name = || format!("cannot read {}", file.display());
    let keys = key.map(read).transpose()?;
    let log = BufReader::new(File::open(file).with_context(name)?);
    let found = audit::verify_export(log, keys.as_deref())?;
    let mut out = std::io::stdout();
    writeln!(out, "Intact: {} entries in one chain.", found.entries)?;
    writeln!(out, "Log of:                  {}", found.head.head.log)?;
    writeln!(out, "Last hash:               {}", found.head.head.hash)?;
    writeln!(
        out,
        "Exported at:             {}",
        found.head.head.at.rfc3339()
    )?;
    if found.signed {
        writeln!(out, "End signed with the key: {}", found.head.key_id)?;
    } else {
        writeln!(
            out,
            "The end was not checked: give the server's keys with --key."
        )?;
    }
    Ok(())
}

/// Both files have a few KiB.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    const LIMIT: u64 = 1024 * 1024;
    let name = || format!("cannot read {}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(name)?;
    file.take(LIMIT)
        .read_to_end(&mut bytes)
        .with_context(name)?;
    Ok(bytes)
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
    log_to(filter, std::io::stderr)
}

fn log_to(
    filter: &str,
    writer: impl for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static,
) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(tracing_subscriber::EnvFilter::try_new(filter)?)
        .with_writer(writer)
        .init();
    Ok(())
}
