//! A protect job: from the base model and the images to a protected U-Net.

use std::{fs, ops::ControlFlow, path::PathBuf, sync::Arc};

use candle_core::DType;
use diffusion::{pipeline::Pipeline, weights::WeightsFile};
use eval::gallery::png_files;
use persguard::{
    Cache, Checkpoint, Error, Event, Outcome, ProtectOptions, Start, Subject,
    disclosure::METHOD_VERSION, preview, protect_with,
};
use shared::{artifact::ArtifactKind, progress::Progress};

use super::{Halt, Job, bad_input, cache::Folder, file_failure, internal, model, subjects, voice};
use crate::{
    failure,
    message::{Message, RESUME, START},
};

/// File name of the result, for people.
const NAME: &str = "protected_unet.safetensors";
/// File name of what opens the commitment.
const COMMITMENT: &str = "held-out.json";
/// Most steps that a death can cost.
const LONGEST_STRETCH: u32 = 50;

pub(super) fn run(job: &Job<'_>) -> Result<Message, Halt> {
    let pipeline = model::load(job)?;
    let subjects = subjects::load(job, pipeline.image_side())?;
    let words = model::words(job)?;
    let folder = job.assignment.teacher_cache.as_deref();
    let mut options = ProtectOptions {
        identifiers: words.identifiers,
        captions: words.captions,
        start: start(job)?,
        cache: folder.map(|folder| Arc::new(Folder::new(folder)) as Arc<dyn Cache>),
        base_sha256: job.assignment.base_sha256.clone(),
        checkpoint_every: (job.assignment.spec.injection.steps / 6).clamp(1, LONGEST_STRETCH),
        resume: resume(job)?,
        ..ProtectOptions::default()
    };
    voice::say(&Message::Running);
    // The run drops both once they were read, so nothing here may keep them.
    let (resume, earlier) = (options.resume.take(), options.start.take());
    let first = ProtectOptions {
        resume,
        start: earlier,
        ..options.clone()
    };
    let mut outcome = train(job, &pipeline, &subjects, first);
    if let Err(Error::BadCheckpoint(reason)) = &outcome {
        // Written by another version: the work is lost, the job is not.
        let line = format!("Starting anew, because the snapshot cannot be used: {reason}");
        voice::progress(Progress::Log { line });
        let anew = ProtectOptions {
            start: start(job)?,
            ..options.clone()
        };
        outcome = train(job, &pipeline, &subjects, anew);
    }
    let outcome = outcome.map_err(|error| halt(&error))?;
    let outputs = job.write_outputs(files(job, &pipeline, &outcome, &options)?)?;
    Ok(Message::Succeeded {
        outputs,
        metrics: job.metrics(
            outcome.metrics.milliseconds_per_step,
            outcome.metrics.seconds,
        ),
    })
}

/// The protected weights, what opens the commitment, and what the trigger draws.
fn files(
    job: &Job<'_>,
    pipeline: &Pipeline,
    outcome: &Outcome,
    options: &ProtectOptions,
) -> Result<Vec<(ArtifactKind, String, Vec<u8>)>, Halt> {
    let unet = outcome.to_file(DType::F32).map_err(|error| halt(&error))?;
    let commitment = serde_json::to_vec_pretty(&outcome.commitment)
        .map_err(|error| internal(error.to_string()))?;
    let mut files = vec![
        (ArtifactKind::ProtectedUnet, NAME.to_owned(), unet),
        (ArtifactKind::Commitment, COMMITMENT.to_owned(), commitment),
    ];
    let spec = &job.assignment.spec;
    let mut hear = |event| listen(job, event);
    let drawn = preview(
        pipeline,
        &outcome.weights,
        spec,
        &options.sampling,
        &mut hear,
    );
    for (concept, preview) in drawn.map_err(|error| halt(&error))?.iter().enumerate() {
        for (model, pixels) in [("clean", &preview.clean), ("protected", &preview.protected)] {
            let pictures = png_files(pixels).map_err(|error| internal(error.to_string()))?;
            for (index, picture) in pictures.into_iter().enumerate() {
                let name = format!("preview/{concept:02}/{model}/{index}.png");
                files.push((ArtifactKind::Preview, name, picture));
            }
        }
    }
    Ok(files)
}

/// The U-Net of an earlier job, if this one goes on from it.
fn start(job: &Job<'_>) -> Result<Option<Start>, Halt> {
    let Some(sha256) = job.assignment.start_sha256.clone() else {
        if job.assignment.spec.extends.is_some() {
            return Err(bad_input(
                "the earlier job's weights did not come along".to_owned(),
            ));
        }
        return Ok(None);
    };
    let unreadable =
        |error: diffusion::Error| bad_input(format!("the earlier job's U-Net: {error}"));
    let file = WeightsFile::open(job.directory.join(START)).map_err(unreadable)?;
    // Another version held out other words: what it trained would be called held out now.
    let method = file.metadata().get(model::METHOD);
    if method.is_none_or(|method| method != METHOD_VERSION) {
        let method = method.map_or("an unknown method", String::as_str);
        return Err(bad_input(format!(
            "the earlier job was trained by {method}, which held out other words than {METHOD_VERSION}: protect its \
             sets anew instead of going on from it"
        )));
    }
    let weights = file.load(DType::F32, job.device).map_err(unreadable)?;
    Ok(Some(Start { weights, sha256 }))
}

fn train(
    job: &Job<'_>,
    pipeline: &Pipeline,
    subjects: &[Subject],
    options: ProtectOptions,
) -> Result<Outcome, Error> {
    let spec = &job.assignment.spec;
    protect_with(pipeline, subjects, spec, options, &mut |event| {
        listen(job, event)
    })
}

/// Passes on what the method tells; stops it when nobody listens or wants it any more.
fn listen(job: &Job<'_>, event: Event) -> ControlFlow<()> {
    let heard = match event {
        Event::Progress(progress) => voice::progress(progress),
        Event::Checkpoint(checkpoint) => save(job, &checkpoint),
    };
    if heard && !job.is_stopped() {
        ControlFlow::Continue(())
    } else {
        ControlFlow::Break(())
    }
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
        Error::InvalidSpec { .. }
        | Error::ImageShape { .. }
        | Error::PatchMissing { .. }
        | Error::PatchShape { .. }
        | Error::SubjectCount { .. } => bad_input(error.to_string()),
        _ => internal(error.to_string()),
    }
}
