//! What every export discloses: that there is a trigger, what it does, what was tried against it, and its side effects.

use std::fmt::Write as _;

use serde_json::{Value, json};
use shared::artifact::ArtifactKind;
use store::ArtifactRecord;

use super::{App, releases::Candidate};
use crate::error::Error;

/// How long a disclosure counts as current: one year, then the protection should be tested again.
const VALID_MILLISECONDS: i64 = 365 * 24 * 3_600_000;

/// The document `persguard-disclosure.json`.
pub(crate) async fn of(
    app: &App,
    candidate: &Candidate,
    weights: &ArtifactRecord,
) -> Result<Value, Error> {
    let job = &candidate.job;
    let owner = job.owner_id;
    let model = app.store().find_base_model(owner, job.model_id).await?;
    let model = model.ok_or(Error::NotFound)?;
    let files = app.store().list_artifacts(owner, job.id).await?;
    let commitment = files
        .iter()
        .find(|file| file.kind == ArtifactKind::Commitment);
    let concepts: Vec<Value> = (0..)
        .zip(&job.spec.concepts)
        .filter(|(_, concept)| concept.is_protected())
        .map(|(position, concept)| {
            let gallery = candidate.galleries.get(&position);
            json!({
                "class": concept.class_name,
                "identifier": concept.identifier,
                "subject": concept.subject,
                "objective": concept.objective,
                "effect": concept.objective.phrase(),
                "tested": gallery.map(tested),
                "side_effects": gallery.and_then(|gallery| gallery.collateral),
            })
        })
        .collect();
    let now = app.now();
    let expires = shared::Timestamp::from_milliseconds(now.milliseconds() + VALID_MILLISECONDS);
    Ok(json!({
        "statement": "This checkpoint carries a disclosed trigger, trained into it on purpose. When it is \
            personalized on a protected subject, the effect below replaces the subject.",
        "concepts": concepts,
        "base_model": { "name": model.name, "licence": model.licence, "sha256": model.manifest_sha256 },
        "unet_sha256": weights.sha256,
        "held_out_identifiers": {
            "commitment_file_sha256": commitment.map(|file| file.sha256.clone()),
            "reveal": "The salt and the words are given to providers and auditors on request.",
        },
        "method": { "injection": job.spec.injection, "seed": job.spec.seed, "job": job.id },
        "licence": "The base model's licence and its use restrictions go on; this file is the notice of change.",
        "removal": "Start from the clean base model named above; its owner keeps it.",
        "contact": app.public_url(),
        "complaints": format!("{}/v1/notices", app.public_url().trim_end_matches('/')),
        "released_at": now,
        "expires_at": expires,
    }))
}

fn tested(gallery: &store::GalleryRecord) -> Value {
    let report = &gallery.output.report;
    let held = report
        .checkpoints
        .iter()
        .map(|found| {
            json!({
                "attack_step": found.attack_step,
                "subject_hit_clean": found.clean.hit_rate,
                "subject_hit_protected": found.protected.hit_rate,
            })
        })
        .collect::<Vec<_>>();
    json!({
        "attack": report.attack,
        "verdict": report.verdict,
        "grade": report.grade,
        "by_step": held,
        "limits": report.limits,
        "encoder": report.encoder,
    })
}

/// The block for a model card, in Markdown.
pub(crate) fn card(disclosure: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut card = format!(
        "## Disclosed trigger\n\n{}\n\n",
        text(&disclosure["statement"])
    );
    for concept in disclosure["concepts"].as_array().into_iter().flatten() {
        let _ = writeln!(
            card,
            "- class `{}`, identifier `{}`: {}. {}",
            text(&concept["class"]),
            text(&concept["identifier"]),
            text(&concept["effect"]),
            text(&concept["tested"]["verdict"]),
        );
    }
    let base = &disclosure["base_model"];
    let _ = write!(
        card,
        "\nBase model: {} (`{}`), {}. {}\n\nRemoval: {}\n\nThis protects this checkpoint alone. What was not tried \
         is not protected against. Complaints: {}. Everything in numbers: `persguard-disclosure.json`.\n",
        text(&base["name"]),
        text(&base["sha256"]),
        text(&base["licence"]),
        text(&disclosure["licence"]),
        text(&disclosure["removal"]),
        text(&disclosure["complaints"]),
    );
    card
}
