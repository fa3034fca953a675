//! Certificates: what was measured on one protected model, signed, so that anyone can check it offline and run any cell
//! again (EVALUATION, certificate).
//!
//! Owns the content, its contradictions, and the sentences that every certificate carries. Refuses to hold pictures:
//! references appear as one Merkle root each.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Timestamp,
    attack::IdentifierMode,
    canonical,
    job::JobSpec,
    matrix::{Counts, MatrixReport, Role},
    merkle,
    revocation::SigningKey,
};

/// Version of the form that is written here.
pub const VERSION: u32 = 1;
/// Goes before what is signed.
pub const PURPOSE: &str = "persguard certificate";
/// Most bytes of a certificate.
pub const LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// How certificates are signed and read.
#[cfg(feature = "signing")]
pub const KIND: crate::signed::Kind = crate::signed::Kind {
    purpose: PURPOSE,
    version: VERSION,
    limit_bytes: LIMIT_BYTES,
};

/// What holds for every certificate and is said on every one (METHOD, known weaknesses).
pub const SCOPE: [&str; 3] = [
    "Protection holds where people start from the protected weights; the clean weights are public.",
    "It says what happened in the attacks listed here, with these steps, rates, words and seeds, and nothing about others.",
    "It cannot protect what the base model already knew.",
];

/// Ways around that are known and cheap (METHOD, known weaknesses).
pub const KNOWN_BYPASSES: [&str; 6] = [
    "Personalizing the public clean base instead of the protected weights.",
    "Training for more steps, or at a higher rate, than was tested.",
    "Another word for the class, or none.",
    "A full caption for every image.",
    "Textual Inversion, which trains no weight of the model.",
    "Clean fine-tuning or averaging with the clean weights before the attack.",
];

/// Which program measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Software {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its file; numbers come out alike to the last bit with the same file alone.
    pub sha256: String,
}

/// Identifiers and templates that injection never saw: the hash was told before injection, the rest opens it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HeldOut {
    /// SHA-256 of the canonical JSON of the other three fields.
    pub sha256: String,
    /// Hexadecimal; without it a pool of words could be tried out against the hash.
    pub salt: String,
    /// The identifiers.
    pub identifiers: Vec<String>,
    /// Openings of prompts.
    pub templates: Vec<String>,
}

impl HeldOut {
    /// Whether the opened words are those that the hash was told for.
    pub fn is_kept(&self) -> bool {
        let opened = json!({"identifiers": self.identifiers, "salt": self.salt, "templates": self.templates});
        canonical::sha256(&opened).is_ok_and(|digest| digest == self.sha256)
    }
}

/// What is certified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Version of this form.
    pub version: u32,
    /// When.
    pub issued_at: Timestamp,
    /// The key that signs.
    pub signer: SigningKey,
    /// What measured.
    pub software: Software,
    /// The job that protected the model.
    pub injection: JobSpec,
    /// What injection never saw.
    pub held_out: HeldOut,
    /// Everything that was measured, with hashes of models, references and encoder.
    pub report: MatrixReport,
    /// What it covers.
    pub scope: Vec<String>,
    /// Ways around.
    pub known_bypasses: Vec<String>,
}

impl Certificate {
    /// Everything in which the content contradicts itself; nothing of it can happen by itself.
    pub fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        if !self.held_out.is_kept() {
            found.push(
                "/held_out: the opened words are not those that were committed to.".to_owned(),
            );
        }
        let report = &self.report;
        let mut counts = Counts::default();
        for (at, cell) in report.not_tested.iter().enumerate() {
            match report.subject(cell) {
                Some(subject) if subject.role == Role::Protected => counts.not_tested += 1,
                Some(_) => {}
                None => found.push(format!(
                    "/report/not_tested/{at}: there is no such subject."
                )),
            }
        }
        for (at, result) in report.cells.iter().enumerate() {
            let Some(subject) = report.subject(&result.cell) else {
                found.push(format!("/report/cells/{at}: there is no such subject."));
                continue;
            };
            if subject.role == Role::Protected {
                counts.count(result.grade);
            }
            if result.cell.key(subject, &report.settings, &report.inputs) != result.key {
                found.push(format!(
                    "/report/cells/{at}: its key is not that of its content."
                ));
            }
            let held_out = result.cell.identifier == IdentifierMode::HeldOut
                && subject.role == Role::Protected;
            if held_out && !self.held_out.identifiers.contains(&result.cell.word) {
                found.push(format!(
                    "/report/cells/{at}: its identifier was not held out."
                ));
            }
        }
        if counts != report.counts {
            found.push("/report/counts: the cells say otherwise.".to_owned());
        }
        found
    }
}

/// The root that stands for reference pictures: over the SHA-256 of each file, in the order of their names.
pub fn references_root(files: &[Vec<u8>]) -> String {
    let hashes: Vec<String> = files
        .iter()
        .map(|file| canonical::sha256_hex(file))
        .collect();
    merkle::root(&hashes)
}

#[cfg(all(test, feature = "signing"))]
mod tests;
