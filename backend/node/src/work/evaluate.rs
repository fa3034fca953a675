//! An evaluate job: the same attack on the clean and the protected model, and the verdict.

use std::{fs, ops::ControlFlow, time::Instant};

use eval::{Bystanders, Case, Encoder, Error, EvaluateOptions, Evaluation};
use shared::{
    artifact::ArtifactKind,
    collateral::{Collateral, CollateralPart},
    evaluation::EvaluationOutput,
    job::JobSpec,
};

use super::{Halt, Job, bad_input, file_failure, internal, model, subjects, voice};
use crate::{
    failure,
    message::{ENCODER, Message},
};

const REPORT: &str = "report.json";

pub(super) fn run(job: &Job<'_>) -> Result<Message, Halt> {
    let pipeline = model::load(job)?;
    let spec = &job.assignment.spec;
    let position = spec.evaluation.concept as usize;
    let subject = subjects::one(job, position, spec.attacked(), pipeline.image_side())?;
    let encoder = encoder(job)?;
    let protected = model::protected(job)?;
    let words = model::words(job)?;
    let pools = persguard::Pools::for_job(&words.identifiers, &words.captions, spec);
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
    let control = subjects::control(job, position, pipeline.image_side())?;
    let bystanders = Bystanders {
        control: control.as_ref(),
        captions: &pools.captions.held_out,
    };
    let report = &mut |progress| {
        let heard = voice::progress(progress);
        if heard && !job.is_stopped() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    let judged = judge(case, bystanders, spec, &options, report);
    let (evaluation, collateral) = judged.map_err(|error| halt(&error))?;
    publish(job, evaluation, collateral)
}

/// The attack on both models, then what the protected one costs those who attack nobody.
fn judge(
    case: Case<'_>,
    bystanders: Bystanders<'_>,
    spec: &JobSpec,
    options: &EvaluateOptions,
    report: eval::evaluation::Report<'_>,
) -> Result<(Evaluation, Collateral), Error> {
    let start = Instant::now();
    let clean = eval::attack_clean(case, spec, options, report)?;
    let mut evaluation = eval::evaluate_beside(&clean, case, spec, options, report)?;
    let found = eval::collateral(&clean, case, bystanders, spec, options, report)?;
    evaluation.metrics.seconds = start.elapsed().as_secs_f64();
    Ok((evaluation, found))
}

/// The report's file: what the judge found, and the side effects beside it.
#[derive(serde::Serialize)]
struct ReportFile<'a> {
    #[serde(flatten)]
    output: &'a EvaluationOutput,
    #[serde(flatten)]
    side_effects: CollateralPart,
}

fn publish(job: &Job<'_>, evaluation: Evaluation, collateral: Collateral) -> Result<Message, Halt> {
    let file = ReportFile {
        output: &evaluation.output,
        side_effects: CollateralPart {
            collateral: Some(collateral),
        },
    };
    let report = serde_json::to_vec_pretty(&file).map_err(|error| internal(error.to_string()))?;
    let report = (ArtifactKind::Report, REPORT.to_owned(), report);
    let images = evaluation.images.into_iter();
    let images = images.map(|(name, file)| (ArtifactKind::GalleryImage, name, file));
    let outputs = job.write_outputs(std::iter::once(report).chain(images))?;
    Ok(Message::Succeeded {
        outputs,
        metrics: job.metrics(
            evaluation.metrics.milliseconds_per_step,
            evaluation.metrics.seconds,
        ),
    })
}

/// The metric encoder: one file. Refuses one whose words nobody knows: it would misread every prompt.
pub(super) fn encoder(job: &Job<'_>) -> Result<Encoder, Halt> {
    let folder = job.directory.join(ENCODER);
    let mut entries = fs::read_dir(&folder).map_err(|error| file_failure(&folder, &error))?;
    let Some(Ok(entry)) = entries.next() else {
        return Err(bad_input("the job has no metric encoder".to_owned()));
    };
    let bytes = fs::read(entry.path()).map_err(|error| file_failure(&entry.path(), &error))?;
    let encoder =
        Encoder::load(&bytes).map_err(|error| bad_input(format!("metric encoder: {error}")))?;
    encoder.tokenizer().map_err(|error| halt(&error))?;
    Ok(encoder)
}

/// Why an attack ended without a result.
pub(super) fn halt(error: &Error) -> Halt {
    match error {
        Error::Canceled { .. } => Halt::Stopped,
        Error::Diverged { .. } => Halt::Failed(failure::diverged(error.to_string())),
        Error::InvalidSpec { .. }
        | Error::AttackInput { .. }
        | Error::ImageShape { .. }
        | Error::MissingOverlay
        | Error::Supplied(_)
        | Error::EncoderVocabulary { .. }
        | Error::OverlayShape { .. } => bad_input(error.to_string()),
        _ => internal(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoder_of_unknown_words_is_bad_input_and_says_what_to_do() {
        let error = Error::EncoderVocabulary {
            tokens: 49_408,
            length: 77,
        };
        let Halt::Failed(failure) = halt(&error) else {
            panic!("it fails");
        };
        assert_eq!(failure.code, "bad_input");
        let evidence = failure.evidence;
        assert!(
            evidence.contains("49408") && evidence.contains("use the encoder"),
            "{evidence}"
        );
    }
}
