//! `persguard verify`: whether a certificate is what its issuer signed, without any server or network.
//!
//! Owns the reading and the words. Refuses a certificate that contradicts itself, whoever signed it.

use std::{
    fmt::Write,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use shared::{
    certificate::{Certificate, KIND, LIMIT_BYTES},
    matrix::GateStatus,
    signed::{self, Refusal, Verified},
};

/// Most bytes of a list of keys.
const LIMIT_KEYS: u64 = 1024 * 1024;

/// Why a certificate is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what was signed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It was signed and says what cannot be.
    #[error("The certificate contradicts itself. {0}")]
    Contradiction(String),
}

/// What a valid certificate says, in lines.
///
/// Without `keys` the signature is checked against the key that the file names.
pub fn verify(file: &Path, keys: Option<&Path>) -> Result<String, Error> {
    // One byte more than is allowed shows that there was more.
    let bytes = read(file, LIMIT_BYTES + 1)?;
    let keys = keys.map(|path| read(path, LIMIT_KEYS)).transpose()?;
    let verified: Verified<Certificate> = signed::verify(KIND, &bytes, keys.as_deref())?;
    let contradictions = verified.document.contradictions();
    if !contradictions.is_empty() {
        return Err(Error::Contradiction(contradictions.join(" ")));
    }
    Ok(describe(&verified))
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
    Ok(bytes)
}

fn describe(verified: &Verified<Certificate>) -> String {
    let certificate = &verified.document;
    let report = &certificate.report;
    let mut lines = format!("Valid. {}\n", report.verdict);
    for (name, value) in [
        ("Issued at:        ", certificate.issued_at.rfc3339()),
        ("Protected U-Net:  ", report.inputs.protected_sha256.clone()),
        ("Clean U-Net:      ", report.inputs.base_sha256.clone()),
        (
            "Cells:            ",
            format!(
                "{} run, {} not tested",
                report.cells.len(),
                report.not_tested.len()
            ),
        ),
        ("Gates:            ", gates(certificate)),
        (
            "Held-out words:   ",
            format!("opened, as committed to in {}", certificate.held_out.sha256),
        ),
        ("Signed with key:  ", verified.key_id.clone()),
    ] {
        let _ = writeln!(lines, "{name}{value}");
    }
    if !verified.is_known_key {
        lines += "The file itself names this key: that shows that nothing was changed since, not who signed. Give --key \
                  with the issuer's keys to know that too.\n";
    }
    for sentence in &certificate.scope {
        let _ = writeln!(lines, "- {sentence}");
    }
    lines
}

fn gates(certificate: &Certificate) -> String {
    let count = |status| {
        certificate
            .report
            .gates
            .iter()
            .filter(|gate| gate.status == status)
            .count()
    };
    format!(
        "{} passed, {} missed, {} not measured",
        count(GateStatus::Passed),
        count(GateStatus::Missed),
        count(GateStatus::NotMeasured)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_no_certificate_are_refused_with_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certificate.json");
        assert!(matches!(verify(&path, None), Err(Error::Read { .. })));
        for text in [
            "",
            "{}",
            "[1]",
            "\u{0}",
            "{\"digests\":{},\"document\":{},\"signature\":\"\"}",
        ] {
            std::fs::write(&path, text).unwrap();
            let refused = verify(&path, None);
            assert!(
                matches!(refused, Err(Error::Refused(_))),
                "{text}: {refused:?}"
            );
        }
        let file = File::create(&path).unwrap();
        file.set_len(LIMIT_BYTES + 5).unwrap();
        assert!(matches!(
            verify(&path, None),
            Err(Error::Refused(Refusal::TooLarge { .. }))
        ));
    }
}
