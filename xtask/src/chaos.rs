//! Jobs among faults.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{
    apt,
    cache::{cargo, command, folder, run},
    nats,
};

/// The library that sets a program's clock, installed where it is missing.
fn faketime() -> Result<PathBuf> {
    if let Some(found) = find_faketime() {
        return Ok(found);
    }
    apt::install(&["libfaketime"])?;
    find_faketime().context("libfaketime is still missing after the install")
}

fn find_faketime() -> Option<PathBuf> {
    let libraries = std::fs::read_dir("/usr/lib").ok()?;
    let mut places =
        libraries.filter_map(|entry| Some(entry.ok()?.path().join("faketime/libfaketime.so.1")));
    places.find(|place| place.is_file())
}

/// Jobs of a push.
pub(crate) const SHORT: u32 = 30;
/// Jobs where somebody asks for this alone.
pub(crate) const LONG: u32 = 500;

/// Builds the programs and kills them while they work.
pub(crate) fn check(jobs: u32) -> Result<()> {
    apt::install_test_tools()?;
    run(cargo()?.args(["build", "--workspace", "--all-targets"]))?;
    let target = folder("target")?.join("debug");
    run(command(target.join("examples/chaos"))
        .arg(jobs.to_string())
        .env("PERSGUARD_NATS_SERVER", nats::server()?)
        .env("PERSGUARD_FAKETIME", faketime()?)
        .env("PERSGUARD_BIN_DIR", target))
}
