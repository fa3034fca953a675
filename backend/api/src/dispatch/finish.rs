//! The end of an attempt: outputs are verified first, then everything commits at once or not at all.

use std::collections::HashSet;

use futures::stream::{self, TryStreamExt};
use shared::{
    JobId, NodeId,
    artifact::ArtifactKind,
    job::{Failure, JobKind, JobMetrics, JobStatus},
    node::{AttemptResult, FinishAttempt, JobOutput},
};
use store::{FinishJob, Finished, JobRecord, NewArtifact, NewJob};

use super::{MAX_ATTEMPTS, outputs::is_by, priority, probe, report, study};
use crate::{
    app::{App, blobs, parts, revocations},
    error::Error,
};

/// Most files of one job: twelve checkpoints with 256 pairs, and the report.
const MAX_OUTPUTS: usize = 12 * 512 + 1;
/// Outputs that are looked at together.
const VERIFIED_AT_ONCE: usize = 32;
/// Longest text of a failure that is kept, in characters.
const MAX_TEXT: usize = 4000;

/// Ends an attempt; repeating an accepted end changes nothing.
pub async fn take(
    app: &App,
    node: Option<NodeId>,
    id: JobId,
    request: FinishAttempt,
) -> Result<(), Error> {
    let job = app.store().find_job_any(id).await?;
    let job = job
        .filter(|job| is_by(job, node, request.token))
        .ok_or(Error::Fenced)?;
    // Until the rows are there nobody removes what they are about to name.
    let _publishing = app.publishing().await?;
    let finish = match request.outcome {
        AttemptResult::Succeeded { outputs, metrics } => {
            succeeded(app, &job, outputs, metrics).await?
        }
        AttemptResult::Failed { failure } => failed(&job, failure),
        AttemptResult::Canceled => FinishJob::Canceled,
        AttemptResult::Released => FinishJob::Released,
    };
    // Whatever follows is queued in the same transaction: also what puts a study together after its last cell.
    let follows = job.kind == JobKind::Study
        || matches!(&finish, FinishJob::Succeeded { follow_ups, .. } if !follow_ups.is_empty());
    match app
        .store()
        .finish_job(id, request.token, finish, app.now())
        .await?
    {
        Finished::Accepted(status) => {
            tracing::info!(job.id = %id, status = status.as_str(), "an attempt ended");
            parts::give_up(app, (id, request.token));
            app.hub().job_moved(id);
            if follows || status == JobStatus::Queued {
                app.hub().work_arrived();
            }
            Ok(())
        }
        Finished::AlreadyDone => Ok(()),
        Finished::Fenced => Err(Error::Fenced),
    }
}

fn failed(job: &JobRecord, failure: Failure) -> FinishJob {
    let cut = |text: String| text.chars().take(MAX_TEXT).collect::<String>();
    FinishJob::Failed {
        retry: failure.retryable && job.attempts < MAX_ATTEMPTS,
        failure: Failure {
            code: cut(failure.code),
            cause: cut(failure.cause),
            evidence: cut(failure.evidence),
            fix: cut(failure.fix),
            retryable: failure.retryable,
        },
    }
}

async fn succeeded(
    app: &App,
    job: &JobRecord,
    outputs: Vec<JobOutput>,
    metrics: JobMetrics,
) -> Result<FinishJob, Error> {
    verify(app, job, &outputs).await?;
    let (mut issued, mut follow_ups, mut gallery) = (Vec::new(), Vec::new(), None);
    match job.kind {
        JobKind::Protect => {
            let weights = the_only(&outputs, ArtifactKind::ProtectedUnet)?;
            issued = revocations::issue(app, job, &weights.sha256).await?;
            follow_ups = evaluations(job);
        }
        JobKind::Evaluate => {
            let file = the_only(&outputs, ArtifactKind::Report)?;
            gallery = Some(Box::new(report::gallery(app, job, file, &outputs).await?));
        }
        JobKind::Probe => {
            let file = the_only(&outputs, ArtifactKind::Probe)?;
            probe::check(app, job, file).await?;
        }
        JobKind::Study => {
            let followed = study::succeeded(app, job, &outputs).await?;
            (issued, follow_ups) = (followed.issued, followed.jobs);
        }
    }
    let artifacts = outputs.into_iter().map(|output| NewArtifact {
        kind: output.kind,
        name: output.name,
        sha256: output.sha256,
        size_bytes: output.size_bytes,
    });
    Ok(FinishJob::Succeeded {
        metrics: metrics.bounded(),
        artifacts: artifacts.collect(),
        issued,
        follow_ups,
        gallery,
    })
}

/// One for each concept, the removed ones too: that their trigger is gone must be seen.
fn evaluations(job: &JobRecord) -> Vec<NewJob> {
    let positions = (0..).take(job.spec.concepts.len());
    positions.map(|concept| evaluation(job, concept)).collect()
}

fn evaluation(job: &JobRecord, concept: u32) -> NewJob {
    let mut spec = job.spec.clone();
    spec.evaluation.concept = concept;
    NewJob {
        owner_id: job.owner_id,
        kind: JobKind::Evaluate,
        spec,
        parent_id: Some(job.id),
        priority: priority(JobKind::Evaluate),
        // An attack trains the same model.
        required_memory_bytes: job.required_memory_bytes,
        idempotency_key: None,
        traceparent: telemetry::here(),
    }
}

async fn verify(app: &App, job: &JobRecord, outputs: &[JobOutput]) -> Result<(), Error> {
    if outputs.len() > MAX_OUTPUTS {
        return Err(refusal(
            "too_many",
            format!("A job has at most {MAX_OUTPUTS} outputs."),
        ));
    }
    let mut names = HashSet::new();
    for output in outputs {
        if !is_safe(&output.name) || !names.insert(&output.name) {
            let name = &output.name;
            return Err(refusal(
                "invalid_name",
                format!("`{name}` is no name, or used twice."),
            ));
        }
        if matches!(
            output.kind,
            ArtifactKind::Revocation | ArtifactKind::Certificate
        ) {
            let detail = "Revocations and certificates are this server's to sign.";
            return Err(refusal("invalid_kind", detail.into()));
        }
        blobs::check_hash(&output.sha256, POINTER)?;
    }
    // Thousands, each several requests where there is a bucket: a node waits fifteen seconds for the answer.
    stream::iter(outputs.iter().map(Ok))
        .try_for_each_concurrent(VERIFIED_AT_ONCE, |output| verify_one(app, job, output))
        .await
}

async fn verify_one(app: &App, job: &JobRecord, output: &JobOutput) -> Result<(), Error> {
    let (sha256, size) = (&output.sha256, output.size_bytes);
    if blobs::has_output(app, job.id, job.token, sha256, size).await? {
        return Ok(());
    }
    let name = &output.name;
    Err(refusal(
        "not_uploaded",
        format!("`{name}` was not uploaded."),
    ))
}

const POINTER: &str = "#/outcome/outputs";

fn refusal(code: &str, detail: String) -> Error {
    Error::field(POINTER, code, detail)
}

pub(super) fn the_only(outputs: &[JobOutput], kind: ArtifactKind) -> Result<&JobOutput, Error> {
    let mut found = outputs.iter().filter(|output| output.kind == kind);
    if let (Some(output), None) = (found.next(), found.next()) {
        return Ok(output);
    }
    let kind = kind.as_str();
    Err(refusal(
        "missing_output",
        format!("Exactly one output of kind `{kind}` is due."),
    ))
}

/// Relative, plain, and short: it ends up in downloads.
fn is_safe(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    name.len() <= 200
        && name.chars().all(plain)
        && name
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::is_safe;

    #[test]
    fn names_stay_inside_their_job() {
        assert!(is_safe("clean/200/00.png"));
        assert!(is_safe("diffusion_pytorch_model.safetensors"));
        for name in [
            "",
            "/etc/passwd",
            "../up",
            "a/../b",
            "a//b",
            ".hidden",
            "a b",
            "ä",
            "a\n",
        ] {
            assert!(!is_safe(name), "{name}");
        }
    }
}
