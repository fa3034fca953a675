//! A protect job: from the base model and the images to a protected U-Net.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use candle_core::{DType, Tensor};
use diffusion::pipeline::Pipeline;
use persguard::{Checkpoint, Error, Event, Outcome, ProtectOptions, protect};
use shared::{artifact::ArtifactKind, job::JobMetrics, progress::Progress};

use super::{Halt, Job, bad_input, file_failure, images, internal, model, voice};
use crate::{
    failure, machine,
    message::{Message, Output, RESUME},
};

/// File name of the result, for people.
const NAME: &str = "protected_unet.safetensors";
/// Most steps that a death can cost.
const LONGEST_STRETCH: u32 = 50;

pub(super) fn run(job: &Job<'_>) -> Result<Message, Halt> {
    let pipeline = model::load(job)?;
    let images = images::load(job, pipeline.image_side())?;
    let mut options = ProtectOptions {
        identifiers: model::identifiers(job)?,
        base_sha256: job.assignment.base_sha256.clone(),
        checkpoint_every: (job.assignment.spec.injection.steps / 6).clamp(1, LONGEST_STRETCH),
        resume: resume(job)?,
        ..ProtectOptions::default()
    };
    voice::say(&Message::Running);
    let mut outcome = train(job, &pipeline, &images, &options);
    if let Err(Error::BadCheckpoint(reason)) = &outcome {
        // Written by another version: the work is lost, the job is not.
        let line = format!("Starting anew, because the snapshot cannot be used: {reason}");
        voice::progress(Progress::Log { line });
        options.resume = None;
        outcome = train(job, &pipeline, &images, &options);
    }
    let outcome = outcome.map_err(|error| halt(&error))?;
    let file = outcome.to_file(DType::F32).map_err(|error| halt(&error))?;
    job.write(Path::new(NAME), &file)?;
    Ok(Message::Succeeded {
        outputs: vec![Output {
            kind: ArtifactKind::ProtectedUnet,
            name: NAME.to_owned(),
            path: PathBuf::from(NAME),
        }],
        metrics: JobMetrics {
            milliseconds_per_step: outcome.metrics.milliseconds_per_step,
            seconds: outcome.metrics.seconds,
            peak_memory_bytes: machine::peak_memory_bytes(),
        },
    })
}

fn train(
    job: &Job<'_>,
    pipeline: &Pipeline,
    images: &Tensor,
    options: &ProtectOptions,
) -> Result<Outcome, Error> {
    let spec = &job.assignment.spec;
    protect(pipeline, images, spec, options, &mut |event| {
        let heard = match event {
            Event::Progress(progress) => voice::progress(progress),
            Event::Checkpoint(checkpoint) => save(job, &checkpoint),
        };
        if heard && !job.is_stopped() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })
}

/// Writes a snapshot; a full disk costs the snapshot and not the training.
fn save(job: &Job<'_>, checkpoint: &Checkpoint) -> bool {
    let step = checkpoint.step();
    let path = PathBuf::from(format!("snapshot-{step}.safetensors"));
    if job.write(&path, checkpoint.as_bytes()).is_ok() {
        return voice::say(&Message::Snapshot { step, path });
    }
    let _ = fs::remove_file(job.directory.join(&path));
    let line = format!("The snapshot of step {step} could not be written.");
    voice::progress(Progress::Log { line })
}

fn resume(job: &Job<'_>) -> Result<Option<Checkpoint>, Halt> {
    if !job.assignment.resume {
        return Ok(None);
    }
    let path = job.directory.join(RESUME);
    let bytes = fs::read(&path).map_err(|error| file_failure(&path, &error))?;
    // Its hash was verified; what cannot be read comes from another version.
    let checkpoint = Checkpoint::from_bytes(bytes).ok();
    if let Some(checkpoint) = &checkpoint {
        let line = format!("Going on from the snapshot of step {}.", checkpoint.step());
        voice::progress(Progress::Log { line });
    }
    Ok(checkpoint)
}

fn halt(error: &Error) -> Halt {
    match error {
        Error::Canceled { .. } => Halt::Stopped,
        Error::Diverged { .. } => Halt::Failed(failure::diverged(error.to_string())),
        Error::InvalidSpec { .. } | Error::ImageShape { .. } => bad_input(error.to_string()),
        _ => internal(error.to_string()),
    }
}
