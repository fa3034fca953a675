//! `persguard-node device`: what jobs compute on here. The node asks it of a child, because a process that has opened an
//! NVIDIA device keeps some of its memory until it ends.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::Parser;
use diffusion::device::{DeviceName, describe, name};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::{Error, Result, config::TOKEN_VARIABLE, machine};

/// What a device is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The name that opens it again: never `auto`.
    pub name: DeviceName,
    /// As its driver calls it, or `CPU`.
    pub model: String,
    /// Memory that a job may use.
    pub memory_bytes: u64,
}

/// Opens a device and tells what it is, as JSON.
#[derive(Parser)]
#[command(name = "persguard-node device", bin_name = "persguard-node device")]
struct Arguments {
    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    #[arg(default_value_t = DeviceName::Auto)]
    device: DeviceName,
}

/// Runs what follows `device` on the command line: exit code 0 with a line of JSON, or 1 with the reason.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let program = OsString::from("persguard-node device");
    let device = Arguments::parse_from(std::iter::once(program).chain(arguments)).device;
    let told = tell(device).map(|told| serde_json::to_string(&told).expect("plain data"));
    let (code, written) = match told {
        Ok(line) => (ExitCode::SUCCESS, writeln!(io::stdout(), "{line}")),
        Err(error) => (ExitCode::FAILURE, writeln!(io::stderr(), "{error}")),
    };
    written.map_or(ExitCode::FAILURE, |()| code)
}

fn tell(device: DeviceName) -> diffusion::Result<Told> {
    let opened = device.open()?;
    let info = describe(&opened)?;
    Ok(Told {
        name: name(&opened),
        model: info.model,
        memory_bytes: info.memory_bytes.unwrap_or_else(machine::memory_bytes),
    })
}

/// Asks `program` what its jobs would compute on. Refuses to start a node whose device cannot be used.
pub(crate) async fn ask(program: &Path, device: DeviceName) -> Result<Told> {
    let mut command = Command::new(program);
    command.arg("device").arg(device.to_string());
    let output = command.env_remove(TOKEN_VARIABLE).output().await;
    let output = output.map_err(Error::file(program))?;
    let reason = || Error::Device {
        device,
        reason: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    };
    if !output.status.success() {
        return Err(reason());
    }
    serde_json::from_slice(&output.stdout).map_err(|_| reason())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_has_the_machines_memory() {
        let told = tell(DeviceName::Cpu).unwrap();
        assert_eq!((told.name, told.model.as_str()), (DeviceName::Cpu, "CPU"));
        assert_eq!(told.memory_bytes, machine::memory_bytes());
    }

    #[tokio::test]
    async fn a_device_that_cannot_be_used_is_told() {
        let error = ask(Path::new("false"), DeviceName::Cuda(7)).await;
        let told = error.unwrap_err().to_string();
        assert!(told.contains("cuda:7"), "{told}");
        let silent = ask(Path::new("true"), DeviceName::Cpu).await;
        assert!(silent.is_err(), "no answer is no device");
    }
}
