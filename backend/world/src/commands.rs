//! One file per command.

pub(crate) mod competence;
pub(crate) mod gate;
pub(crate) mod look;
pub(crate) mod pretrain;
pub(crate) mod publish;

use std::io::Write;

/// Prints a line; the commands' only way to speak.
pub(crate) fn say(line: impl std::fmt::Display) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
