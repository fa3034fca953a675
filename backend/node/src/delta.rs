//! `persguard-node delta make | apply`: a protected model as what it changes of its base, and back.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use diffusion::weights::delta::{self, Summary};

#[derive(Parser)]
#[command(name = "persguard-node delta", bin_name = "persguard-node delta")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write what a safetensors file changes of another one.
    Make {
        /// The file that everybody has.
        base: PathBuf,
        /// The file that is to be told.
        result: PathBuf,
        /// Where the delta goes.
        delta: PathBuf,
    },
    /// Write the file that a delta makes of its base, byte by byte as it was.
    Apply {
        /// The file that the delta was made with.
        base: PathBuf,
        /// The delta.
        delta: PathBuf,
        /// Where the result goes.
        result: PathBuf,
    },
}

/// Runs what follows `delta` on the command line.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let name = OsString::from("persguard-node delta");
    let arguments = Arguments::parse_from(std::iter::once(name).chain(arguments));
    let done = match arguments.command {
        Command::Make {
            base,
            result,
            delta,
        } => delta::make(&base, &result, &delta),
        Command::Apply {
            base,
            delta,
            result,
        } => delta::apply(&base, &delta, &result),
    };
    let (code, answer) = match done {
        Ok(summary) => (ExitCode::SUCCESS, line(&summary)),
        Err(error) => (ExitCode::FAILURE, format!("refused: {error}\n")),
    };
    match io::stdout().write_all(answer.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn line(summary: &Summary) -> String {
    format!(
        "{} of {} tensors changed; delta {} bytes, whole file {} bytes\n",
        summary.changed, summary.tensors, summary.delta_bytes, summary.result_bytes
    )
}
