//! What the server's program leaves to `persguard-node`: everything that needs the numeric packages.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    process::Command,
};

/// Name of the program that lies beside this one.
const NAME: &str = "persguard-node";

/// Hands over to the program beside this one: it takes this process's place.
///
/// Returns only if that cannot be done.
#[cfg(unix)]
pub fn hand_over(command: &OsStr, arguments: &[OsString]) -> io::Error {
    use std::os::unix::process::CommandExt;

    match program() {
        Ok(program) => explain(&program, prepared(&program, command, arguments).exec()),
        Err(error) => error,
    }
}

/// Runs the program beside this one and ends with its exit code.
///
/// Returns only if that cannot be done.
#[cfg(not(unix))]
pub fn hand_over(command: &OsStr, arguments: &[OsString]) -> io::Error {
    let program = match program() {
        Ok(program) => program,
        Err(error) => return error,
    };
    match prepared(&program, command, arguments).status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => explain(&program, error),
    }
}

/// Where that program lies.
pub(crate) fn program() -> io::Result<PathBuf> {
    let name = format!("{NAME}{}", std::env::consts::EXE_SUFFIX);
    Ok(std::env::current_exe()?.with_file_name(name))
}

fn prepared(program: &Path, command: &OsStr, arguments: &[OsString]) -> Command {
    let mut prepared = Command::new(program);
    prepared.arg(command).args(arguments);
    prepared
}

fn explain(program: &Path, error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::NotFound {
        return error;
    }
    let folder = program.parent().unwrap_or(Path::new(""));
    let reason = format!(
        "this command is part of {NAME}, which is not in {}",
        folder.display()
    );
    io::Error::new(io::ErrorKind::NotFound, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_sibling_is_named_with_its_folder() {
        // Test programs lie in a folder of their own, where no node is.
        let error = hand_over(OsStr::new("model"), &[]);
        assert!(
            error
                .to_string()
                .contains("part of persguard-node, which is not in"),
            "{error}"
        );
    }
}
