//! An evaluate job: the same attack on the clean and the protected model, and the verdict.

use std::{fs, ops::ControlFlow};

use candle_core::{DType, Device};
use diffusion::weights::Weights;
use eval::{Case, Encoder, Error, EvaluateOptions, Evaluation, evaluate};
use shared::{artifact::ArtifactKind, job::JobMetrics};

use super::{Halt, Job, bad_input, file_failure, internal, model, subjects, voice};
use crate::{
    failure, machine,
    message::{ENCODER, Message, PROTECTED_UNET},
};

const REPORT: &str = "report.json";

pub(super) fn run(job: &Job<'_>) -> Result<Message, Halt> {
    let pipeline = model::load(job)?;
    let spec = &job.assignment.spec;
    let position = spec.evaluation.concept as usize;
    let subject = subjects::one(job, position, spec.attacked(), pipeline.image_side())?;
    let encoder = encoder(job)?;
    let path = job.directory.join(PROTECTED_UNET);
    let protected = Weights::load(&path, DType::F32, &Device::Cpu)
        .map_err(|error| bad_input(format!("protected U-Net: {error}")))?;
    let pools = persguard::Pools::for_job(&model::words(job)?.identifiers, spec);
    let options = EvaluateOptions {
        held_out_identifiers: pools.identifiers.held_out,
        clean_sha256: job.assignment.clean_sha256.clone(),
        protected_sha256: job.assignment.protected_sha256.clone(),
        ..EvaluateOptions::default()
    };
    voice::say(&Message::Running);
    let case = Case {
        pipeline: &pipeline,
        protected: &protected,
        encoder: &encoder,
        references: &subject.images,
        overlay: subject.overlay.as_ref(),
    };
    let evaluation = evaluate(case, spec, &options, &mut |progress| {
        let heard = voice::progress(progress);
        if heard && !job.is_stopped() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    publish(job, evaluation.map_err(|error| halt(&error))?)
}

fn publish(job: &Job<'_>, evaluation: Evaluation) -> Result<Message, Halt> {
    let report = serde_json::to_vec_pretty(&evaluation.output)
        .map_err(|error| internal(error.to_string()))?;
    let report = (ArtifactKind::Report, REPORT.to_owned(), report);
    let images = evaluation.images.into_iter();
    let images = images.map(|(name, file)| (ArtifactKind::GalleryImage, name, file));
    let outputs = job.write_outputs(std::iter::once(report).chain(images))?;
    Ok(Message::Succeeded {
        outputs,
        metrics: JobMetrics {
            milliseconds_per_step: evaluation.metrics.milliseconds_per_step,
            seconds: evaluation.metrics.seconds,
            peak_memory_bytes: machine::peak_memory_bytes(),
        },
    })
}

/// The metric encoder: one file.
pub(super) fn encoder(job: &Job<'_>) -> Result<Encoder, Halt> {
    let folder = job.directory.join(ENCODER);
    let mut entries = fs::read_dir(&folder).map_err(|error| file_failure(&folder, &error))?;
    let Some(Ok(entry)) = entries.next() else {
        return Err(bad_input("the job has no metric encoder".to_owned()));
    };
    let bytes = fs::read(entry.path()).map_err(|error| file_failure(&entry.path(), &error))?;
    Encoder::load(&bytes).map_err(|error| bad_input(format!("metric encoder: {error}")))
}

fn halt(error: &Error) -> Halt {
    match error {
        Error::Canceled { .. } => Halt::Stopped,
        Error::Diverged { .. } => Halt::Failed(failure::diverged(error.to_string())),
        Error::InvalidSpec { .. }
        | Error::AttackInput { .. }
        | Error::ImageShape { .. }
        | Error::MissingOverlay
        | Error::OverlayShape { .. } => bad_input(error.to_string()),
        _ => internal(error.to_string()),
    }
}
