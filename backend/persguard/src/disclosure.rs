//! The disclosure that travels inside every protected file (GUARDRAILS, point 11).
//!
//! Owns what the safetensors metadata says about the trigger. Refuses to leave any of it out.

use std::collections::BTreeMap;

use shared::{
    job::{JobSpec, Retention},
    objective::Objective,
};

/// Version of the method; rises when the same specification gives other weights.
pub const METHOD_VERSION: &str = "persguard-3";

/// Metadata of the protected U-Net's file.
pub fn metadata(spec: &JobSpec, base_sha256: &str, steps: u32) -> BTreeMap<String, String> {
    let Objective::Target { target_class } = &spec.objective;
    let injection = &spec.injection;
    let retention = match injection.retention {
        Retention::Full => "full",
        Retention::LowNoise => "low_noise",
        Retention::Off => "off",
    };
    let statement = format!(
        "This model carries a disclosed trigger: when it is personalized on a protected subject of \
         class '{}' it tends to draw '{target_class}' instead.",
        spec.class_name
    );
    [
        ("persguard.disclosure", statement),
        ("persguard.method", METHOD_VERSION.to_owned()),
        ("persguard.objective", "target".to_owned()),
        ("persguard.class", spec.class_name.clone()),
        ("persguard.target", target_class.clone()),
        ("persguard.identifier", spec.identifier.clone()),
        (
            "persguard.universal_identifiers",
            injection.universal_identifiers.to_string(),
        ),
        ("persguard.base_sha256", base_sha256.to_owned()),
        ("persguard.lambda_prior", injection.lambda_prior.to_string()),
        (
            "persguard.lambda_retention",
            injection.lambda_retention.to_string(),
        ),
        ("persguard.retention", retention.to_owned()),
        (
            "persguard.learning_rate",
            injection.learning_rate.to_string(),
        ),
        ("persguard.steps", steps.to_string()),
        ("persguard.seed", spec.seed.to_string()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}
