//! What went wrong, in words for people: cause, evidence, remedy.

use std::process::ExitStatus;

use diffusion::device::DeviceName;
use shared::job::Failure;

use crate::Error;

/// How a trainer ended that said nothing about it.
pub(crate) struct Ending<'a> {
    pub(crate) status: ExitStatus,
    /// Whether the kernel killed a process for memory meanwhile.
    pub(crate) memory_kill: bool,
    /// Last line that it wrote to its standard error.
    pub(crate) last_line: &'a str,
}

/// Explains a trainer that ended without a result.
pub(crate) fn of_ending(ending: &Ending<'_>) -> Failure {
    let killed = killed_by(ending.status);
    let evidence = if ending.last_line.is_empty() {
        format!("the trainer ended with {}", ending.status)
    } else {
        format!("{}; its last line: {}", ending.status, ending.last_line)
    };
    let abort = ending.last_line.contains("memory allocation of");
    match killed {
        _ if ending.memory_kill || abort => out_of_memory(evidence),
        // Somebody ended it from outside: that says nothing about the job.
        Some(1 | 2 | 9 | 15) => Failure {
            code: "node_lost".to_owned(),
            cause: "The trainer was killed from outside.".to_owned(),
            evidence,
            fix: "Nothing: the job goes on from its last snapshot.".to_owned(),
            retryable: true,
        },
        _ => internal("The trainer crashed.", evidence),
    }
}

/// The signal that ended a process.
#[cfg(unix)]
pub(crate) fn killed_by(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

/// Only Unix has signals.
#[cfg(not(unix))]
pub(crate) fn killed_by(_status: ExitStatus) -> Option<i32> {
    None
}

/// Explains what stopped the node itself.
pub(crate) fn of_error(error: &Error) -> Failure {
    let evidence = error.to_string();
    if error.is_disk_full() {
        return disk_full(evidence);
    }
    match error {
        Error::Damaged { .. } | Error::Unreachable(_) => Failure {
            code: "node_lost".to_owned(),
            cause: "The node could not fetch the job's files or send its results.".to_owned(),
            evidence,
            fix: "Check the connection between the node and the server.".to_owned(),
            retryable: true,
        },
        _ => internal("The node could not run the job.", evidence),
    }
}

/// The node's memory, or its device's, is too small.
pub(crate) fn out_of_memory(evidence: String) -> Failure {
    Failure {
        code: "out_of_memory".to_owned(),
        cause: "The trainer needed more memory than this node has.".to_owned(),
        evidence,
        fix: "Use a smaller batch size or fewer images, or a node with more memory.".to_owned(),
        retryable: false,
    }
}

/// The device that was there when the node started is not, or not now.
pub(crate) fn device(device: DeviceName, evidence: String) -> Failure {
    Failure {
        code: "node_lost".to_owned(),
        cause: format!("The node could not open its device ({device})."),
        evidence,
        fix:
            "Look at the node's device (`persguard-node device`); another attempt may find it free."
                .to_owned(),
        retryable: true,
    }
}

/// No space is left on the node.
pub(crate) fn disk_full(evidence: String) -> Failure {
    Failure {
        code: "disk_full".to_owned(),
        cause: "The node's disk is full.".to_owned(),
        evidence,
        fix: "Free space in the node's directory, then retry the job.".to_owned(),
        retryable: false,
    }
}

/// The job's inputs cannot be used.
pub(crate) fn bad_input(evidence: String) -> Failure {
    Failure {
        code: "bad_input".to_owned(),
        cause: "The job cannot run with these inputs.".to_owned(),
        evidence,
        fix: "Change what the evidence names, then launch again.".to_owned(),
        retryable: false,
    }
}

/// Training left the region from which it comes back.
pub(crate) fn diverged(evidence: String) -> Failure {
    Failure {
        code: "diverged".to_owned(),
        cause: "Training diverged.".to_owned(),
        evidence,
        fix: "Use a lower learning rate.".to_owned(),
        retryable: false,
    }
}

/// A fault of ours.
pub(crate) fn internal(cause: &str, evidence: String) -> Failure {
    Failure {
        code: "internal".to_owned(),
        cause: cause.to_owned(),
        evidence,
        fix: "Report this with the evidence; a retry is safe.".to_owned(),
        retryable: false,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::{io, os::unix::process::ExitStatusExt};

    use super::*;

    fn ending(signal: i32, memory_kill: bool, last_line: &str) -> Failure {
        of_ending(&Ending {
            status: ExitStatus::from_raw(signal),
            memory_kill,
            last_line,
        })
    }

    #[test]
    fn a_kill_counts_as_memory_only_with_proof() {
        let plain = ending(9, false, "");
        assert_eq!((plain.code.as_str(), plain.retryable), ("node_lost", true));
        let memory = ending(9, true, "");
        assert_eq!(
            (memory.code.as_str(), memory.retryable),
            ("out_of_memory", false)
        );
        let refused = ending(6, false, "memory allocation of 99 bytes failed");
        assert_eq!(refused.code, "out_of_memory");
    }

    #[test]
    fn a_crash_carries_its_last_line() {
        let failure = ending(11, false, "index out of bounds");
        assert_eq!(failure.code, "internal");
        assert!(failure.evidence.contains("index out of bounds"));
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let error = Error::File {
            path: "/work".to_owned(),
            source: io::ErrorKind::StorageFull.into(),
        };
        assert_eq!(of_error(&error).code, "disk_full");
    }
}
