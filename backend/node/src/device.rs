//! `persguard-node device`: what jobs compute on here. The node asks it of a child, because a process that has opened an
//! NVIDIA device keeps some of its memory until it ends.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use candle_core::{DType, Device, Tensor};
use clap::Parser;
use diffusion::device::{DeviceName, describe, name};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::{
    Error, Result,
    config::{Devices, TOKEN_VARIABLE},
    machine,
};

const MEASURE: Duration = Duration::from_millis(500);
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Most devices that a node has.
const MOST: usize = 64;

/// What was measured once.
#[derive(Clone, Serialize, Deserialize)]
struct Measured {
    model: String,
    version: String,
    gigaflops: u32,
}

/// What a device is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The name that opens it again: never `auto`.
    pub name: DeviceName,
    /// As its driver calls it, or `CPU`.
    pub model: String,
    /// Memory that a job may use.
    pub memory_bytes: u64,
    /// Thousand million operations of a matrix product a second, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gigaflops: Option<u32>,
}

/// Opens a device and tells what it is, as JSON.
#[derive(Parser)]
#[command(name = "persguard-node device", bin_name = "persguard-node device")]
struct Arguments {
    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    #[arg(default_value_t = DeviceName::Auto)]
    device: DeviceName,
    /// Measure its speed too, for half a second.
    #[arg(long)]
    measure: bool,
}

/// Runs what follows `device` on the command line: exit code 0 with a line of JSON, or 1 with the reason.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let program = OsString::from("persguard-node device");
    let asked = Arguments::parse_from(std::iter::once(program).chain(arguments));
    let told = tell(asked.device, asked.measure)
        .map(|told| serde_json::to_string(&told).expect("plain data"));
    let (code, written) = match told {
        Ok(line) => (ExitCode::SUCCESS, writeln!(io::stdout(), "{line}")),
        Err(error) => (ExitCode::FAILURE, writeln!(io::stderr(), "{error}")),
    };
    written.map_or(ExitCode::FAILURE, |()| code)
}

fn tell(device: DeviceName, measure: bool) -> diffusion::Result<Told> {
    let opened = device.open()?;
    let info = describe(&opened)?;
    let gigaflops = if measure { Some(speed(&opened)?) } else { None };
    Ok(Told {
        gigaflops,
        name: name(&opened),
        model: info.model,
        memory_bytes: info.memory_bytes.unwrap_or_else(machine::memory_bytes),
    })
}

/// Products of two square matrices for half a second.
fn speed(device: &Device) -> diffusion::Result<u32> {
    const SIDE: usize = 1024;
    let left = Tensor::ones((SIDE, SIDE), DType::F32, device)?;
    // Reading a number back waits for the device.
    let product = || {
        left.matmul(&left)?
            .get(0)?
            .get(0)?
            .to_scalar::<f32>()
            .map(|_| ())
    };
    product()?;
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < MEASURE {
        product()?;
        count += 1;
    }
    let operations = 2.0 * (SIDE * SIDE * SIDE) as f64 * f64::from(count);
    let speed = operations / start.elapsed().as_secs_f64() / 1e9;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number far below the limit, and the cast saturates"
    )]
    Ok(speed.round() as u32)
}

/// Asks `program` what its jobs would compute on. Refuses to start a node whose device cannot be used.
pub(crate) async fn ask(program: &Path, device: DeviceName, measure: bool) -> Result<Told> {
    let mut command = Command::new(program);
    command.arg("device").arg(device.to_string());
    if measure {
        command.arg("--measure");
    }
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

/// What jobs compute on, each device once, with a speed that is measured once for every model and version and then kept
/// in `directory`.
pub(crate) async fn find(
    program: &Path,
    wanted: &[Devices],
    directory: &Path,
) -> Result<Vec<Told>> {
    let mut found: Vec<Told> = Vec::new();
    for devices in wanted {
        let named = match devices {
            Devices::One(device) => vec![ask(program, *device, false).await?],
            Devices::All => all(program).await?,
        };
        for told in named {
            if found.iter().any(|other| other.name == told.name) {
                let reason = "it is named twice: --jobs-per-device lets jobs share it".to_owned();
                let device = told.name;
                return Err(Error::Device { device, reason });
            }
            found.push(told);
        }
    }
    measure(program, &mut found, directory).await?;
    Ok(found)
}

/// NVIDIA devices in the driver's order up to the first that cannot be used; without any, the processor.
async fn all(program: &Path) -> Result<Vec<Told>> {
    let mut found = Vec::new();
    while found.len() < MOST {
        match ask(program, DeviceName::Cuda(found.len()), false).await {
            Ok(told) => found.push(told),
            Err(Error::Device { device, reason }) => {
                tracing::info!(%device, reason, "no further device");
                break;
            }
            Err(error) => return Err(error),
        }
    }
    if found.is_empty() {
        found.push(ask(program, DeviceName::Cpu, false).await?);
    }
    Ok(found)
}

async fn measure(program: &Path, devices: &mut [Told], directory: &Path) -> Result<()> {
    let path = directory.join("benchmark.json");
    let kept = fs::read(&path).ok();
    let kept: Option<Vec<Measured>> = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let mut known = kept.unwrap_or_default();
    known.retain(|known| known.version == VERSION);
    let before = known.len();
    for told in devices {
        if let Some(known) = known.iter().find(|known| known.model == told.model) {
            told.gigaflops = Some(known.gigaflops);
            continue;
        }
        *told = ask(program, told.name, true).await?;
        known.extend(told.gigaflops.map(|gigaflops| Measured {
            model: told.model.clone(),
            version: VERSION.to_owned(),
            gigaflops,
        }));
    }
    if known.len() > before {
        let text = serde_json::to_vec(&known).map_err(io::Error::from);
        // Without it the next start measures again.
        if let Err(error) = text.and_then(|bytes| fs::write(&path, bytes)) {
            tracing::warn!(%error, "the measured speed was not kept");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_has_the_machines_memory() {
        let told = tell(DeviceName::Cpu, true).unwrap();
        assert!(told.gigaflops.is_some_and(|speed| speed > 0), "{told:?}");
        assert_eq!((told.name, told.model.as_str()), (DeviceName::Cpu, "CPU"));
        assert_eq!(told.memory_bytes, machine::memory_bytes());
    }

    #[tokio::test]
    async fn a_device_that_cannot_be_used_is_told() {
        let error = ask(Path::new("false"), DeviceName::Cuda(7), false).await;
        let told = error.unwrap_err().to_string();
        assert!(told.contains("cuda:7"), "{told}");
        let silent = ask(Path::new("true"), DeviceName::Cpu, false).await;
        assert!(silent.is_err(), "no answer is no device");
    }

    /// A program that answers like ours on a machine with two NVIDIA devices of one model, and writes down what it was asked.
    #[cfg(unix)]
    fn machine_of_two(folder: &Path) -> std::path::PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let program = folder.join("node.sh");
        let script = r#"#!/bin/sh
echo "$@" >> "${0%/*}/asked"
case "$2" in
cuda:0 | auto) name=cuda:0 memory=100 ;;
cuda:1) name=cuda:1 memory=50 ;;
*) echo "no such device" >&2; exit 1 ;;
esac
test "$3" = --measure && speed=',"gigaflops":7'
echo "{\"name\":\"$name\",\"model\":\"Test\",\"memory_bytes\":$memory$speed}"
"#;
        fs::write(&program, script).expect("a test folder");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a test folder");
        program
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn every_device_is_found_once_and_every_model_is_measured_once() {
        let folder = tempfile::tempdir().unwrap();
        let program = machine_of_two(folder.path());
        let find = async |wanted: &[Devices]| find(&program, wanted, folder.path()).await;
        let found = find(&[Devices::All]).await.unwrap();
        let told: Vec<_> = found
            .iter()
            .map(|told| (told.name, told.memory_bytes, told.gigaflops))
            .collect();
        let both = [
            (DeviceName::Cuda(0), 100, Some(7)),
            (DeviceName::Cuda(1), 50, Some(7)),
        ];
        assert_eq!(told, both);
        let one = DeviceName::Cuda(1);
        let again = find(&[Devices::One(one)]).await.unwrap();
        assert_eq!(again[0].gigaflops, Some(7));
        let asked = fs::read_to_string(folder.path().join("asked")).unwrap();
        let measured = asked.lines().filter(|line| line.ends_with("--measure"));
        assert_eq!(measured.count(), 1, "{asked}");
        // The first device by two names, and one that is not there.
        for wanted in [
            [DeviceName::Auto, DeviceName::Cuda(0)],
            [DeviceName::Cuda(0), DeviceName::Cuda(2)],
        ] {
            let refused = find(&wanted.map(Devices::One)).await;
            assert!(matches!(refused, Err(Error::Device { .. })), "{wanted:?}");
        }
    }
}
