//! The trainer: one job in a process of its own, which owns the device.
//!
//! It reads its directory, writes there, and speaks JSON lines on standard output. The network and the rest of the disk
//! are closed to it: whatever it needs was fetched for it.

use std::{
    fs,
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use candle_core::Device;
use diffusion::device::{DeviceName, describe};
use shared::{
    artifact::ArtifactKind,
    job::{Failure, JobKind, JobMetrics},
};

use crate::{
    failure, machine,
    message::{ASSIGNMENT, Assignment, Message, Output},
};

mod cache;
mod evaluate;
mod images;
mod model;
mod probe;
mod protect;
mod study;
mod subjects;
mod voice;

/// Directory of what goes out.
const OUTPUTS: &str = "outputs";
/// Time to stop by itself once nobody listens any more.
const GRACE: Duration = Duration::from_secs(5);

/// Why a job ended early.
enum Halt {
    /// It was asked to stop.
    Stopped,
    /// It failed.
    Failed(Failure),
}

/// Runs the job that lies in `directory`.
pub fn run(directory: &Path, device: DeviceName) -> ExitCode {
    // Training fills every core; the server beside it answers people first.
    #[cfg(unix)]
    let _ = rustix::process::nice(5);
    let assignment = read(directory);
    // Before there is a second thread: what it starts has no more rights than itself.
    let (kept, supplied) = match &assignment {
        Ok(assignment) => (&assignment.teacher_cache, &assignment.networks),
        Err(_) => (&None, &None),
    };
    sandbox::enter(
        supplied.as_deref(),
        kept.as_deref().into_iter().chain([directory]),
    );
    let stop = Arc::new(AtomicBool::new(false));
    watch_input(Arc::clone(&stop));
    let ended = diffusion::in_pool(|| work(directory, &assignment?, device, &stop));
    let last_word = match ended {
        Ok(message) => message,
        Err(Halt::Stopped) => Message::Stopped,
        Err(Halt::Failed(failure)) => Message::Failed { failure },
    };
    if voice::say(&last_word) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn read(directory: &Path) -> Result<Assignment, Halt> {
    let path = directory.join(ASSIGNMENT);
    let text = fs::read(&path).map_err(|error| file_failure(&path, &error))?;
    serde_json::from_slice(&text).map_err(|error| internal(error.to_string()))
}

fn work(
    directory: &Path,
    assignment: &Assignment,
    device: DeviceName,
    stop: &AtomicBool,
) -> Result<Message, Halt> {
    let device = device
        .open()
        .map_err(|error| Halt::Failed(failure::device(device, error.to_string())))?;
    let job = Job {
        directory,
        device: &device,
        assignment,
        stop,
    };
    match assignment.kind {
        JobKind::Protect => protect::run(&job),
        JobKind::Evaluate => evaluate::run(&job),
        JobKind::Probe => probe::run(&job),
        JobKind::Study => study::run(&job),
    }
}

/// A job under way.
struct Job<'a> {
    directory: &'a Path,
    /// Where models lie and compute; pictures stay with the processor.
    device: &'a Device,
    assignment: &'a Assignment,
    stop: &'a AtomicBool,
}

impl Job<'_> {
    /// Attacks at once: one a core, but one alone on a device that they would share.
    fn workers(&self) -> usize {
        if self.device.is_cpu() {
            diffusion::threads()
        } else {
            1
        }
    }

    /// What the device measured of itself: the median step, and seconds from start to end.
    fn metrics(&self, milliseconds_per_step: f64, seconds: f64) -> JobMetrics {
        JobMetrics {
            milliseconds_per_step,
            seconds,
            peak_memory_bytes: machine::peak_memory_bytes(),
            device: describe(self.device).ok().map(|info| info.model),
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Writes files and says what they are.
    fn write_outputs(
        &self,
        files: impl IntoIterator<Item = (ArtifactKind, String, Vec<u8>)>,
    ) -> Result<Vec<Output>, Halt> {
        let write = |(kind, name, bytes): (ArtifactKind, String, Vec<u8>)| {
            let path = Path::new(OUTPUTS).join(&name);
            self.write(&path, &bytes)?;
            Ok(Output { kind, name, path })
        };
        files.into_iter().map(write).collect()
    }

    /// Writes a file below the job's directory.
    fn write(&self, relative: &Path, bytes: &[u8]) -> Result<(), Halt> {
        let path = self.directory.join(relative);
        let parent = path.parent().unwrap_or(self.directory);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, bytes))
            .map_err(|error| file_failure(&path, &error))
    }
}

/// The end of our input means: stop. Whoever does not stop in time is ended here, because the
/// process that would kill us may be dead itself.
fn watch_input(stop: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        stop.store(true, Ordering::Relaxed);
        std::thread::sleep(GRACE);
        std::process::exit(1);
    });
}

fn file_failure(path: &Path, error: &std::io::Error) -> Halt {
    let evidence = format!("{}: {error}", path.display());
    Halt::Failed(if crate::error::is_full(error) {
        failure::disk_full(evidence)
    } else {
        failure::internal("The trainer could not use its directory.", evidence)
    })
}

fn internal(evidence: String) -> Halt {
    unless_full(evidence, |evidence| {
        failure::internal("The trainer could not do the job.", evidence)
    })
}

fn bad_input(evidence: String) -> Halt {
    unless_full(evidence, failure::bad_input)
}

/// What `explain` makes of the evidence, unless that says that a device's memory is full, as its driver and cuBLAS name
/// it: cudarc passes their words on.
fn unless_full(evidence: String, explain: impl FnOnce(String) -> Failure) -> Halt {
    let full = ["CUDA_ERROR_OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED"];
    Halt::Failed(if full.iter().any(|words| evidence.contains(words)) {
        failure::out_of_memory(evidence)
    } else {
        explain(evidence)
    })
}
