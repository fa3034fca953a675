//! The evaluation that ships with the embedded model, as `cargo xtask bench eval --tier standard` left it.

/// A report with what proves it.
#[derive(Clone, Copy, Debug)]
pub struct Evaluation {
    /// One HTML page with its pictures inside.
    pub report: &'static [u8],
    /// The signed certificate.
    pub certificate: &'static [u8],
    /// The public keys that it is verified with.
    pub keys: &'static [u8],
}

/// The standard tier of attacks on the demo's subject, protected by the demo's setting.
#[inline(never)]
pub fn evaluation() -> Evaluation {
    Evaluation {
        report: include_bytes!("../evaluation/report.html"),
        certificate: include_bytes!("../evaluation/certificate.json"),
        keys: include_bytes!("../evaluation/keys.json"),
    }
}
