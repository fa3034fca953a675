//! The judge's report: bounded, parsed and checked before it becomes a gallery.

use std::collections::HashSet;

use shared::{
    artifact::ArtifactKind,
    collateral::CollateralPart,
    evaluation::{EvaluationOutput, EvaluationReport},
    node::JobOutput,
};
use store::{JobRecord, NewGallery};

use crate::{
    app::{App, blobs},
    error::Error,
};

/// A full report of twelve checkpoints with 256 pairs stays below this.
const MAX_REPORT_BYTES: u64 = 4 * 1024 * 1024;
const MAX_PAIRS: usize = 12 * 256;
/// Longest sentence of a report, in characters.
const MAX_TEXT: usize = 2000;

/// The gallery that the report of an evaluation job opens.
pub(super) async fn gallery(
    app: &App,
    job: &JobRecord,
    file: &JobOutput,
    outputs: &[JobOutput],
) -> Result<NewGallery, Error> {
    if file.size_bytes > MAX_REPORT_BYTES {
        return Err(refusal("too_large", "The report is larger than 4 MiB."));
    }
    let bytes = blobs::read(app, &file.sha256, MAX_REPORT_BYTES).await?;
    let output: EvaluationOutput = serde_json::from_slice(&bytes).map_err(|error| {
        refusal(
            "invalid_report",
            &format!("The report is unreadable: {error}."),
        )
    })?;
    check(&output, outputs)?;
    let part: CollateralPart = serde_json::from_slice(&bytes).map_err(|error| {
        refusal(
            "invalid_report",
            &format!("The side effects are unreadable: {error}."),
        )
    })?;
    let set = app
        .store()
        .find_set(job.owner_id, job.set_id)
        .await?
        .ok_or(Error::NotFound)?;
    Ok(NewGallery {
        title: set.name,
        output,
        collateral: part.collateral,
        public: app.demo().is_some_and(|(owner, _)| owner == job.owner_id),
    })
}

fn check(output: &EvaluationOutput, files: &[JobOutput]) -> Result<(), Error> {
    if output.pairs.len() > MAX_PAIRS || !is_bounded(&output.report) {
        return Err(refusal(
            "too_large",
            "The report holds more than any evaluation makes.",
        ));
    }
    let images: HashSet<&str> = files
        .iter()
        .filter(|file| file.kind == ArtifactKind::GalleryImage)
        .map(|file| file.name.as_str())
        .collect();
    for pair in &output.pairs {
        for image in [&pair.clean, &pair.protected] {
            if !images.contains(image.name.as_str()) {
                let detail = format!("The report shows `{}`, which is no output.", image.name);
                return Err(refusal("missing_image", &detail));
            }
        }
    }
    Ok(())
}

fn is_bounded(report: &EvaluationReport) -> bool {
    let short = |text: &String| text.chars().count() <= MAX_TEXT;
    let attack = &report.attack;
    let texts = [
        &report.verdict,
        &report.encoder,
        &attack.family,
        &attack.identifier,
        &attack.prompt,
    ];
    !report.checkpoints.is_empty()
        && report.checkpoints.len() <= 12
        && report.limits.len() <= 50
        && texts.into_iter().chain(&report.limits).all(short)
}

fn refusal(code: &str, detail: &str) -> Error {
    Error::field("#/outcome/outputs", code, detail)
}
