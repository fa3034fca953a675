//! Jobs among faults.

use anyhow::Result;

use crate::{
    apt,
    cache::{cargo, command, folder, run},
    nats,
};

/// Builds the programs and kills them while they work.
pub(crate) fn check() -> Result<()> {
    apt::install_test_tools()?;
    run(cargo()?.args(["build", "--workspace", "--all-targets"]))?;
    let target = folder("target")?.join("debug");
    run(command(target.join("examples/chaos"))
        .env("PERSGUARD_NATS_SERVER", nats::server()?)
        .env("PERSGUARD_BIN_DIR", target))
}
