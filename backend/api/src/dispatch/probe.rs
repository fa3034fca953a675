//! A probe's report: bounded, parsed and checked before preflights believe it.

use shared::{
    node::JobOutput,
    probe::{ConceptProbe, ProbeReport},
};
use store::JobRecord;

use crate::{
    app::{App, blobs},
    error::Error,
};

/// Name of a probe's report.
const NAME: &str = "probe.json";
/// Ten concepts with a hundred prompts each stay far below this.
pub(crate) const MAX_BYTES: u64 = 1024 * 1024;
const MAX_PROMPTS: usize = 100;
/// Longest prompt, in characters.
const MAX_TEXT: usize = 500;

/// Refuses a report that no probe of this job writes.
pub(super) async fn check(app: &App, job: &JobRecord, file: &JobOutput) -> Result<(), Error> {
    if file.name != NAME {
        return Err(refusal("invalid_name", "A probe writes `probe.json`."));
    }
    if file.size_bytes > MAX_BYTES {
        return Err(refusal("too_large", "The report is larger than 1 MiB."));
    }
    let report = read(app, &file.sha256).await?;
    if report.concepts.len() != job.spec.concepts.len() {
        let detail = "The report has another number of concepts than the job.";
        return Err(refusal("invalid_report", detail));
    }
    if !report.concepts.iter().all(is_credible) || !is_time(report.seconds_per_step) {
        let detail = "The report holds numbers or texts that no probe writes.";
        return Err(refusal("invalid_report", detail));
    }
    Ok(())
}

/// The report with this hash.
async fn read(app: &App, sha256: &str) -> Result<ProbeReport, Error> {
    let bytes = blobs::read(app, sha256, MAX_BYTES).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let detail = format!("The report is unreadable: {error}.");
        refusal("invalid_report", &detail)
    })
}

fn is_time(seconds: Option<f64>) -> bool {
    seconds.is_none_or(|seconds| seconds.is_finite() && seconds >= 0.0)
}

fn is_credible(concept: &ConceptProbe) -> bool {
    let share = |value: f64| (0.0..=1.0).contains(&value);
    let cosine = |value: f64| (-1.001..=1.001).contains(&value);
    let familiarity = concept.familiarity.is_none_or(|found| {
        share(found.known_share) && cosine(found.class_only) && cosine(found.among_images)
    });
    let prompts = concept
        .nearby
        .iter()
        .all(|near| cosine(near.similarity) && near.prompt.chars().count() <= MAX_TEXT);
    familiarity && prompts && concept.nearby.len() <= MAX_PROMPTS
}

fn refusal(code: &str, detail: &str) -> Error {
    Error::field("#/outcome/outputs", code, detail)
}
