//! The product from the sources: what is missing is built, then the product's own program takes this process's place.

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use clap::Args;

use crate::{
    cache::{cargo, command, folder, root, run},
    web,
};

/// How the product is started.
#[derive(Args)]
pub(crate) struct Options {
    /// Port on the loopback; 0 takes a free one.
    #[arg(long, default_value_t = 7740)]
    port: u16,
    /// Where the server keeps its data [default: ./data].
    #[arg(long, alias = "data-dir", value_name = "DIR")]
    data: Option<PathBuf>,
}

/// How the demo is started.
#[derive(Args)]
pub(crate) struct DemoOptions {
    /// Stop after the verdict.
    #[arg(long)]
    once: bool,
    /// Delete the data of an earlier run first.
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    options: Options,
}

/// Builds both programs; returns the folder that holds them.
pub(crate) fn build_programs() -> Result<PathBuf> {
    // The whole workspace's selection of features, so that the tests reuse what the demo compiled.
    let programs = ["--bin", "persguard", "--bin", "persguard-node"];
    run(cargo()?.args(["build", "--workspace"]).args(programs))?;
    Ok(folder("target")?.join("debug"))
}

/// Serves without the demo project until Ctrl-C.
pub(crate) fn dev(options: &Options) -> Result<()> {
    become_program(product(options, "serve")?)
}

/// Serves, and reports the demo project until its verdict; stays up unless told otherwise.
pub(crate) fn demo(demo: &DemoOptions) -> Result<()> {
    let mut program = product(&demo.options, "demo")?;
    for (flag, given) in [("--once", demo.once), ("--fresh", demo.fresh)] {
        if given {
            program.arg(flag);
        }
    }
    become_program(program)
}

fn product(options: &Options, subcommand: &str) -> Result<Command> {
    let programs = build_programs()?;
    let frontend = web::build()?;
    let data = match &options.data {
        Some(path) => std::path::absolute(path)?,
        None => root().join("data"),
    };
    let mut program = command(programs.join("persguard"));
    program
        .arg(subcommand)
        .arg("--address")
        .arg(format!("127.0.0.1:{}", options.port))
        .arg("--data-dir")
        .arg(data)
        .arg("--frontend-dir")
        .arg(frontend);
    Ok(program)
}

/// Nothing is left of this process: Ctrl-C and whoever kills it reach the program itself.
fn become_program(mut program: Command) -> Result<()> {
    let path = Path::new(program.get_program()).to_owned();
    Err(program.exec()).with_context(|| format!("starting {}", path.display()))
}
