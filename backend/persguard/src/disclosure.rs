//! The disclosure that travels inside every protected file (GUARDRAILS, point 11).
//!
//! Owns what the safetensors metadata says about the trigger. Refuses to leave any of it out.

use std::collections::BTreeMap;

use serde_json::json;
use shared::job::{Budget, Concept, JobSpec, Mode, Retention};

use crate::commitment::Commitment;

/// Version of the method; rises when the same specification gives other weights.
pub const METHOD_VERSION: &str = "persguard-6";

/// Metadata of the protected U-Net's file. The commitment is told closed.
pub fn metadata(
    spec: &JobSpec,
    base_sha256: &str,
    commitment: &Commitment,
) -> BTreeMap<String, String> {
    let injection = &spec.injection;
    let retention = match injection.retention {
        Retention::Full => "full",
        Retention::LowNoise => "low_noise",
        Retention::Off => "off",
    };
    let kept = || {
        spec.concepts
            .iter()
            .filter(|concept| concept.is_protected())
    };
    let concepts: Vec<_> = kept().map(facts).collect();
    let mut fields = vec![
        ("disclosure", statement(kept())),
        ("method", METHOD_VERSION.to_owned()),
        ("concepts", json!(concepts).to_string()),
        ("mode", mode(injection.mode).to_owned()),
        (
            "universal_identifiers",
            injection.universal_identifiers.to_string(),
        ),
        ("held_out_commitment", commitment.sha256.clone()),
        ("base_sha256", base_sha256.to_owned()),
        ("lambda_prior", injection.lambda_prior.to_string()),
        ("lambda_retention", injection.lambda_retention.to_string()),
        ("retention", retention.to_owned()),
        ("averaging", injection.averaging.to_string()),
        ("learning_rate", injection.learning_rate.to_string()),
        ("steps", injection.steps.to_string()),
        ("seed", spec.seed.to_string()),
    ];
    if let Some(job) = spec.extends {
        fields.push(("extends", job.to_string()));
    }
    fields
        .into_iter()
        .map(|(key, value)| (format!("persguard.{key}"), value))
        .collect()
}

fn statement<'c>(concepts: impl Iterator<Item = &'c Concept>) -> String {
    let draws = concepts.map(|concept| {
        format!(
            "on a protected subject of class '{}' it tends to draw {}",
            concept.class_name,
            concept.objective.phrase()
        )
    });
    format!(
        "This model carries a disclosed trigger: when it is personalized {}.",
        draws.collect::<Vec<_>>().join("; ")
    )
}

fn facts(concept: &Concept) -> serde_json::Value {
    json!({
        "class": concept.class_name,
        "identifier": concept.identifier,
        "subject": concept.subject,
        "objective": concept.objective,
    })
}

const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Paper => "paper",
        Mode::Trajectory { budget, .. } => match budget {
            Budget::Fast => "trajectory fast",
            Budget::Balanced => "trajectory balanced",
            Budget::Strong => "trajectory strong",
        },
    }
}
