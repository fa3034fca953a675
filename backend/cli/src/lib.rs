//! The commands of `persguard` that use a server from afar: sign in, upload, protect, watch, look, share.
//!
//! Owns the terminal: questions, progress bars, exit codes, JSON for scripts, and the file of credentials. Refuses
//! HTTP, which is `client`'s. Secrets are read from a terminal, a pipe or the environment, never from arguments.

mod credentials;
mod environment;
mod failure;
mod gallery;
mod login;
mod numbers;
mod output;
mod protect;
mod question;
mod share;
mod upload;
mod watch;

use std::{
    io,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use clap::{Args, Subcommand};
use client::{Client, Credential, Secret, Settings};

use crate::{
    credentials::{Keeper, Kept, Vault},
    environment::Environment,
    failure::Failure,
    output::Output,
};

/// What the help of every command ends with.
const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  something failed on this machine, such as a file that cannot be read
    2  arguments are missing or wrong
    3  not signed in, or the sign-in is over
    4  the server refused
    5  no answer, or a fault of the server; try again
    6  the job failed or was canceled
    7  the preflight says that the job cannot be launched
    8  some files were not accepted; the set is still a draft
  130  interrupted; the same command goes on where it stopped";

/// What every command takes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Everywhere")]
pub struct Common {
    /// Address of the server; the one of the last sign-in unless told.
    #[arg(long, env = "PERSGUARD_SERVER", value_name = "URL")]
    server: Option<String>,
    /// Print JSON for programs instead of text for people.
    #[arg(long)]
    json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sign in to a server.
    #[command(after_help = EXIT_CODES)]
    Login(login::Login),
    /// Sign out of a server.
    #[command(after_help = EXIT_CODES)]
    Logout(login::Logout),
    /// Make a protected set of the pictures in a folder.
    #[command(after_help = EXIT_CODES)]
    Upload(Box<upload::Upload>),
    /// Launch the job that protects a set.
    #[command(after_help = EXIT_CODES)]
    Protect(Box<protect::Protect>),
    /// Follow a job and its evaluation to their end.
    #[command(after_help = EXIT_CODES)]
    Watch(watch::Watch),
    /// Show what an attacker gets, with every number's n and interval.
    #[command(after_help = EXIT_CODES)]
    Gallery(gallery::Gallery),
    /// Share a gallery by a link, list such links, or end one.
    #[command(after_help = EXIT_CODES)]
    Share(Box<share::Share>),
}

impl Command {
    const fn common(&self) -> &Common {
        match self {
            Self::Login(it) => &it.common,
            Self::Logout(it) => &it.common,
            Self::Upload(it) => &it.common,
            Self::Protect(it) => &it.common,
            Self::Watch(it) => &it.common,
            Self::Gallery(it) => &it.common,
            Self::Share(it) => &it.common,
        }
    }

    async fn carry_out(&self, terminal: &Terminal) -> Result<(), Failure> {
        match self {
            Self::Login(it) => it.run(terminal).await,
            Self::Logout(it) => it.run(terminal).await,
            Self::Upload(it) => it.run(terminal).await,
            Self::Protect(it) => it.run(terminal).await,
            Self::Watch(it) => it.run(terminal).await,
            Self::Gallery(it) => it.run(terminal).await,
            Self::Share(it) => it.run(terminal).await,
        }
    }
}

/// What a command works with.
struct Terminal {
    environment: Environment,
    server: Option<String>,
    output: Output,
    /// What to say when the command is interrupted.
    hint: Mutex<Option<String>>,
}

impl Terminal {
    /// How to go on should the command be interrupted from here.
    fn on_interrupt(&self, hint: impl Into<String>) {
        *self.hint.lock().unwrap_or_else(PoisonError::into_inner) = Some(hint.into());
    }

    fn vault(&self) -> Result<Vault, Failure> {
        Vault::open(&self.environment.config_home()?)
    }

    /// A client as whoever signed in.
    fn client(&self) -> Result<Client, Failure> {
        let vault = self.vault()?;
        let kept = vault.load()?;
        let server = self.server.clone().or_else(|| kept.default.clone());
        let server = server.ok_or_else(Failure::nobody)?;
        let server = client::server_address(&server)?;
        let entry = kept.servers.get(&server);
        let credential = match (&self.environment.api_key, entry) {
            (Some(key), _) => Credential::Key(Secret::new(key.clone())),
            (None, Some(entry)) => match &entry.credential {
                Kept::Key { secret } => Credential::Key(secret.clone()),
                Kept::Tokens(_) => Credential::Tokens(Arc::new(Keeper::new(vault, &server))),
            },
            (None, None) => return Err(Failure::nobody()),
        };
        let settings = Settings {
            plain_http: entry.is_some_and(|entry| entry.plain_http),
            ..Settings::new(server).with(credential)
        };
        Ok(Client::new(settings)?)
    }
}

/// Carries a command out; gives the program's exit code.
pub fn run(command: &Command) -> ExitCode {
    let common = command.common();
    let terminal = Terminal {
        environment: Environment::read(),
        server: common.server.clone(),
        output: Output::new(common.json),
        hint: Mutex::new(None),
    };
    let result = within_runtime(command, &terminal);
    let Err(failure) = result else {
        return ExitCode::SUCCESS;
    };
    terminal.output.failure(&failure);
    ExitCode::from(failure.code())
}

fn within_runtime(command: &Command, terminal: &Terminal) -> Result<(), Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(async {
        tokio::select! {
            result = command.carry_out(terminal) => result,
            interrupted = interruption() => {
                interrupted?;
                let hint = terminal.hint.lock().unwrap_or_else(PoisonError::into_inner);
                Err(Failure::Interrupted(hint.clone()))
            }
        }
    });
    // A question that nobody answers would hold the program.
    runtime.shutdown_background();
    result
}

#[cfg(unix)]
async fn interruption() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn interruption() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}

/// Writes the completions of a program for a shell.
pub fn complete(
    shell: clap_complete::Shell,
    mut program: clap::Command,
    mut out: impl io::Write,
) -> io::Result<()> {
    // The generator panics where a pipe closed early: it gets memory instead.
    let mut text = Vec::new();
    let name = program.get_name().to_owned();
    clap_complete::generate(shell, &mut program, name, &mut text);
    out.write_all(&text)
}

pub use clap_complete::Shell;
