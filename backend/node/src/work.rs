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
use diffusion::{
    device::{DeviceName, describe},
    plan::{Memory, Models, Setup, plan},
};
use shared::{
    artifact::ArtifactKind,
    attack::AttackRecipe,
    job::{Failure, JobKind, JobMetrics},
};

use crate::{
    failure, machine,
    message::{ASSIGNMENT, Assignment, MODEL, Message, Output},
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
    /// Attacks at once: one a core, or as many as the memory holds beside what is read already; one alone on a device
    /// that they would share.
    fn workers(&self) -> usize {
        if !self.device.is_cpu() {
            return 1;
        }
        let order = self.assignment.spec.evaluation.study.as_deref();
        let own = order.map_or(&[][..], |order| &order.request.recipes);
        let models = Models::from_folder(self.directory.join(MODEL));
        let needed = models.and_then(|models| attack_bytes(&models, attack_rows(own)));
        at_once(diffusion::threads(), spare_bytes(), needed.ok())
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

/// Rows of the largest step among the built-in attacks and the owner's.
fn attack_rows(own: &[AttackRecipe]) -> usize {
    let built_in = eval::attack::recipe::built_in();
    let rows = built_in.iter().chain(own).map(|recipe| {
        let batch = recipe.batch_size as usize;
        if recipe.prior_preservation {
            2 * batch
        } else {
            batch
        }
    });
    rows.max().unwrap_or(1)
}

/// Bytes that one attack takes beside the models that all share, with `n` values of the denoiser and `m` of the text
/// encoders: 4n copy, 8n moments, 4n gradients, activations of its rows and buffers; 4n weights that an adaptive attacker
/// starts from; 16m where the text encoders train too. The largest attack counts for all.
fn attack_bytes(models: &Models, rows: usize) -> diffusion::Result<f64> {
    const F32: f64 = 4.0;
    let side = models.unet.sample_size.unwrap_or(64);
    let setup = Setup {
        batch: rows,
        latent: (side, side),
        tokens: (models.texts.first()).map_or(77, |text| text.max_position_embeddings),
        ..Setup::default()
    };
    let planned = plan(models, &setup)?;
    let memory = Memory {
        frozen: F32 * planned.unet_values as f64 + 4.0 * F32 * models.text_values()? as f64,
        ..planned.memory
    };
    // What a process takes for itself it takes once.
    Ok(memory.process() - Memory::default().process())
}

/// As many as the memory holds, at most one a core and at least one; one a core where nobody knows.
fn at_once(cores: usize, spare: Option<u64>, needed: Option<f64>) -> usize {
    let (Some(spare), Some(needed)) = (spare, needed) else {
        return cores;
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number, and the cast saturates"
    )]
    let fit = (spare as f64 / needed.max(1.0)) as usize;
    cores.min(fit).max(1)
}

/// Memory that nobody uses now, of the machine or of our control group where that has less.
fn spare_bytes() -> Option<u64> {
    let limit = machine::memory_bytes().saturating_sub(machine::peak_memory_bytes());
    machine::free_memory_bytes().map(|free| free.min(limit))
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use diffusion::plan::Preset;

    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn tiny_models_are_attacked_on_every_core() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo/model");
        let models = Models::from_folder(folder).expect("the demo has its configurations");
        let needed = attack_bytes(&models, attack_rows(&[])).unwrap();
        assert!(needed < (GIB / 2) as f64, "{needed}");
        assert_eq!(at_once(2, Some(2 * GIB), Some(needed)), 2);
        assert_eq!(at_once(32, Some(24 * GIB), Some(needed)), 32);
    }

    #[test]
    fn large_models_are_attacked_as_the_memory_allows() {
        let models = Preset::Sd1.models();
        let needed = attack_bytes(&models, attack_rows(&[])).unwrap();
        // Weights to start from, copy, moments and gradients of 860 million values alone.
        assert!(needed > 20.0 * 859e6, "{needed}");
        assert!(attack_bytes(&models, 2).unwrap() < needed);
        assert_eq!(at_once(16, Some(8 * GIB), Some(needed)), 1);
        assert_eq!(at_once(16, Some(0), Some(needed)), 1);
        assert_eq!(at_once(16, Some(GIB), Some(0.3 * GIB as f64)), 3);
        assert_eq!(at_once(2, Some(u64::MAX), Some(needed)), 2);
        for unknown in [(None, Some(needed)), (Some(GIB), None)] {
            assert_eq!(at_once(16, unknown.0, unknown.1), 16);
        }
    }

    #[test]
    fn largest_batch_of_all_recipes_counts() {
        assert_eq!(attack_rows(&[]), 8);
        let mut own = eval::attack::recipe::built_in().swap_remove(0);
        own.batch_size = 6;
        assert_eq!(attack_rows(std::slice::from_ref(&own)), 12);
        own.prior_preservation = false;
        assert_eq!(attack_rows(&[own]), 8);
    }
}
