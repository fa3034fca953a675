//! The one error type of the package.

use std::path::Path;

use diffusion::device::DeviceName;
use shared::problem::ErrorCode;

/// Result of this package.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the node could not go on with a job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another node holds the job, or it is over.
    #[error("the lease of this job is gone")]
    Fenced,
    /// The server was not reached after several tries.
    #[error("the server was not reached: {0}")]
    Unreachable(String),
    /// The server answered, but not with what was asked for.
    #[error("the server refused {what} with {status} ({code:?}): {detail}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// The HTTP status.
        status: u16,
        /// The problem's code.
        code: ErrorCode,
        /// The problem's text.
        detail: String,
    },
    /// Downloaded bytes are not the announced ones.
    #[error("{name} arrived damaged: expected {expected}, got {actual}")]
    Damaged {
        /// The input.
        name: String,
        /// Announced SHA-256 or size.
        expected: String,
        /// What came.
        actual: String,
    },
    /// An input's name would leave its directory.
    #[error("the input name {0:?} is not a plain relative path")]
    UnsafeName(String),
    /// The file system refused.
    #[error("{path}: {source}")]
    File {
        /// The file or directory.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The trainer could not be started or spoken to.
    #[error("the trainer could not be run: {0}")]
    Trainer(std::io::Error),
    /// The node's directory is in use by another node.
    #[error("another node uses {0}")]
    Occupied(String),
    /// This directory belongs to no server yet.
    #[error("{0} has not joined a server: run `persguard-node join URL TOKEN` first")]
    NotJoined(String),
    /// This directory belongs to a server.
    #[error(
        "{directory} has joined {url} already: `persguard-node run` works for it; --replace joins anew"
    )]
    JoinedAlready {
        /// The directory.
        directory: String,
        /// Its server.
        url: String,
    },
    /// Anyone on the way would read the credential.
    #[error(
        "{0:?} is not protected by TLS. Use https, or --plain-http where the network is your own"
    )]
    Unprotected(String),
    /// The device that jobs should compute on cannot be used.
    #[error("the device {device} cannot be used: {reason}")]
    Device {
        /// Its name.
        device: DeviceName,
        /// What its driver, or this build, says.
        reason: String,
    },
}

impl Error {
    /// Names the file that an I/O error is about.
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::File { path, source }
    }

    /// Whether the disk is full.
    pub(crate) fn is_disk_full(&self) -> bool {
        matches!(self, Self::File { source, .. } if is_full(source))
    }
}

/// Whether the disk or the quota is exhausted.
pub(crate) fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}
