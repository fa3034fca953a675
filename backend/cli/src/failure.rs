//! Why a command did not do what it was asked, and the exit code that says so.

use std::io;

use serde_json::{Value, json};
use shared::{JobId, SetId, job::JobStatus, problem::ErrorCode};

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Something on this machine.
    #[error("{0}")]
    Here(String),
    /// An argument is missing or wrong.
    #[error("{0}")]
    Usage(String),
    /// Nobody is signed in.
    #[error("{0}")]
    SignedOut(String),
    /// The server, or the way to it.
    #[error("{0}")]
    Remote(client::Error),
    /// A job that ended otherwise than well.
    #[error("{job} {}: {reason}", .status.as_str())]
    Ended {
        /// Which one.
        job: JobId,
        /// How.
        status: JobStatus,
        /// Why, and what to do.
        reason: String,
    },
    /// The preflight found something that forbids the launch.
    #[error("This job cannot be launched yet; what has failed above says why.")]
    NotReady,
    /// Some files did not make it.
    #[error(
        "{files} of {all} files were not accepted. {set} is still a draft: mend or remove them, then run the same command again."
    )]
    FilesRefused {
        /// How many.
        files: usize,
        /// Of how many.
        all: usize,
        /// Where the others are.
        set: SetId,
    },
    /// The person stopped it.
    #[error("Interrupted. {}", .0.as_deref().unwrap_or("Nothing is half done."))]
    Interrupted(Option<String>),
}

impl Failure {
    pub(crate) fn nobody() -> Self {
        Self::SignedOut(
            "Nobody is signed in. Run `persguard login --server URL`, or set PERSGUARD_SERVER and PERSGUARD_API_KEY."
                .into(),
        )
    }

    /// The program's exit code; the help lists them.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Here(_) => 1,
            Self::Usage(_) => 2,
            Self::SignedOut(_) => 3,
            Self::Remote(error) => remote(error),
            Self::Ended { .. } => 6,
            Self::NotReady => 7,
            Self::FilesRefused { .. } => 8,
            Self::Interrupted(_) => 130,
        }
    }

    /// The same for programs.
    pub(crate) fn document(&self) -> Value {
        let mut error = json!({ "detail": self.to_string(), "exit_code": self.code() });
        if let Self::Remote(client::Error::Refused(problem)) = self {
            error["problem"] = serde_json::to_value(problem).unwrap_or_default();
        }
        json!({ "error": error })
    }
}

fn remote(error: &client::Error) -> u8 {
    use client::Error as Remote;
    match error {
        Remote::Address(_) | Remote::Unprotected(_) => 2,
        Remote::Credential | Remote::File { .. } | Remote::Unusable { .. } | Remote::Tokens(_) => 1,
        Remote::Unreachable { .. } | Remote::Unreadable { .. } => 5,
        Remote::Refused(_) | Remote::Unexplained { .. } => match (error.code(), error.status()) {
            (Some(ErrorCode::Unauthenticated), _) | (_, Some(401)) => 3,
            (_, Some(400..500)) => 4,
            _ => 5,
        },
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        Self::Remote(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Here(error.to_string())
    }
}
