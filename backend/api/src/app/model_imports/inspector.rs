//! The program that reads an imported model: a child process with bounds, whose every end has a reason.
//!
//! A file that somebody made must not take the server with it: not by its size, not by its shape, not by a fault of the
//! reader.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde::Deserialize;
use shared::base_model::ModelParameters;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
};

use crate::{config::Config, sibling};

/// Longest time to read a model: 16 GiB from a slow disk.
const TIMEOUT: Duration = Duration::from_mins(15);
/// Most that the program may say.
const MAX_OUTPUT_BYTES: u64 = 1 << 20;
/// Memory of its own that the program may take; files that it maps do not count.
#[cfg(target_os = "linux")]
const MEMORY_BYTES: u64 = 4 << 30;

/// What the program says of a model.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Inspection {
    pub(crate) family: String,
    pub(crate) layout: String,
    pub(crate) prediction_type: String,
    pub(crate) resolution: u32,
    pub(crate) parameters: ModelParameters,
    pub(crate) dtypes: Vec<String>,
    pub(crate) files: Vec<InspectedFile>,
    pub(crate) licence: Option<String>,
    pub(crate) warnings: Vec<String>,
}

/// A file that the program read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct InspectedFile {
    pub(crate) name: String,
    pub(crate) sha256: String,
}

/// What the program says of something that is no model.
#[derive(Deserialize)]
struct Refused {
    error: String,
}

/// Why nothing is known of a model.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InspectionError {
    /// The program says that it is no model that can be protected.
    #[error("{0}")]
    Refused(String),
    /// It took too long.
    #[error("Reading the model took longer than {} seconds.", .limit.as_secs())]
    TooSlow { limit: Duration },
    /// It ended without a word.
    #[error("The program that reads models ended unexpectedly ({0}).")]
    Died(String),
    /// It could not be started.
    #[error("The program that reads models could not be started: {0}.")]
    Missing(io::Error),
    /// It speaks another version.
    #[error("The program that reads models said something unexpected: {0}.")]
    Unreadable(String),
}

/// The configured program, or the one beside this one.
pub(crate) fn program(config: &Config) -> io::Result<PathBuf> {
    config.inspector.clone().map_or_else(sibling::program, Ok)
}

/// Reads the model at a path.
pub(crate) async fn inspect(program: &Path, model: &Path) -> Result<Inspection, InspectionError> {
    inspect_within(program, model, TIMEOUT).await
}

async fn inspect_within(
    program: &Path,
    model: &Path,
    limit: Duration,
) -> Result<Inspection, InspectionError> {
    let mut command = Command::new(program);
    // Neither the server's secrets nor its settings are the program's business.
    command
        .env_clear()
        .args(["model", "inspect"])
        .arg(model)
        .args(["--json", "--confined"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(InspectionError::Missing)?;
    bound(&child);
    let said = tokio::time::timeout(limit, listen(&mut child)).await;
    let Ok(said) = said else {
        let _ = child.kill().await;
        return Err(InspectionError::TooSlow { limit });
    };
    said
}

#[cfg(target_os = "linux")]
fn bound(child: &Child) {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    let Some(pid) = pid.and_then(Pid::from_raw) else {
        return;
    };
    for (resource, most) in [(Resource::Data, MEMORY_BYTES), (Resource::Core, 0)] {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        if let Err(error) = prlimit(Some(pid), resource, limit) {
            tracing::warn!(%error, "the inspector runs without a limit");
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn bound(_: &Child) {}

async fn listen(child: &mut Child) -> Result<Inspection, InspectionError> {
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let (output, errors) = tokio::join!(read(output), read(errors));
    let status = child.wait().await;
    let status = status.map_err(|error| InspectionError::Died(error.to_string()))?;
    if status.success() {
        let unreadable = |error: serde_json::Error| InspectionError::Unreadable(error.to_string());
        return serde_json::from_slice(&output).map_err(unreadable);
    }
    match serde_json::from_slice::<Refused>(&output) {
        Ok(refused) if status.code() == Some(1) => Err(InspectionError::Refused(refused.error)),
        _ => {
            let text = String::from_utf8_lossy(&errors);
            let last = text.lines().last().unwrap_or_default();
            let last: String = last.chars().take(200).collect();
            Err(InspectionError::Died(format!("{status}: {last}")))
        }
    }
}

/// The first bytes of a stream; the rest is read and dropped, so that the program can end.
async fn read(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        let _ = (&mut stream)
            .take(MAX_OUTPUT_BYTES)
            .read_to_end(&mut bytes)
            .await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
    bytes
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tokio::sync::Mutex;

    use super::*;

    /// Held while a script is written and run: a process that another test starts meanwhile would inherit the file as
    /// it is open for writing, and the system runs no such file ("Text file busy").
    static ALONE: Mutex<()> = Mutex::const_new(());

    async fn say(script: &str) -> Result<Inspection, InspectionError> {
        let _alone = ALONE.lock().await;
        let directory = tempfile::tempdir().expect("a directory can be made");
        let program = directory.path().join("node.sh");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("a new file");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("our file");
        inspect_within(&program, Path::new("/model"), Duration::from_secs(2)).await
    }

    #[tokio::test]
    async fn every_end_has_its_reason() {
        let refused = say("echo '{\"error\":\"no U-Net\"}'; exit 1").await;
        assert!(matches!(refused, Err(InspectionError::Refused(text)) if text == "no U-Net"));
        let died = say("echo 'out of memory' >&2; kill -9 $$")
            .await
            .unwrap_err();
        assert!(died.to_string().contains("signal: 9"), "{died}");
        let slow = say("exec sleep 60").await;
        assert!(matches!(slow, Err(InspectionError::TooSlow { .. })));
        let odd = say("echo hello").await;
        assert!(matches!(odd, Err(InspectionError::Unreadable(_))));
        let usage = say("exit 2").await;
        assert!(matches!(usage, Err(InspectionError::Died(_))));
        let _alone = ALONE.lock().await;
        let missing = inspect(Path::new("/nowhere"), Path::new("/model")).await;
        assert!(matches!(missing, Err(InspectionError::Missing(_))));
    }

    #[tokio::test]
    async fn memory_is_bounded_and_secrets_stay_out() {
        // The limit follows the start; on a busy machine a shell is quicker than that.
        let bounded = say("sleep 0.3; ulimit -d >&2; exit 3").await.unwrap_err();
        assert!(bounded.to_string().contains("4194304"), "{bounded}");
        let environment = say("env | grep -c PERSGUARD >&2; exit 3")
            .await
            .unwrap_err();
        assert!(environment.to_string().ends_with(": 0)."), "{environment}");
    }
}
