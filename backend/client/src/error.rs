//! Why a call failed, as far as it can be told from here.

use std::{io, path::PathBuf};

use reqwest::{Method, StatusCode};
use shared::problem::{ErrorCode, Problem};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server said no, and why.
    #[error("{}", explained(.0))]
    Refused(Box<Problem>),
    /// Something on the way, or a server of another kind, said no.
    #[error("{method} {path} was answered with {status}, without a reason")]
    Unexplained {
        /// What was asked.
        method: Method,
        /// Where.
        path: String,
        /// What came back.
        status: StatusCode,
    },
    /// No answer, or half of one, after every try that was allowed.
    #[error("no answer from {host}: {cause}")]
    Unreachable {
        /// Who was asked.
        host: String,
        /// What the line said.
        cause: String,
    },
    /// An answer that this version does not understand.
    #[error("{path} was answered with something else than expected: {cause}")]
    Unreadable {
        /// What was read.
        path: String,
        /// What does not fit.
        cause: String,
    },
    /// A text that is no address of a server.
    #[error("`{0}` is no address of a server. Give one such as https://guard.example.org.")]
    Address(String),
    /// Credentials would cross a network in the clear.
    #[error(
        "{0} is not protected by TLS. Use https, or allow plain HTTP where the network is your own."
    )]
    Unprotected(String),
    /// A text that cannot be sent as a credential.
    #[error("This credential holds characters that no header can.")]
    Credential,
    /// A file here could not be read or written.
    #[error("{}: {cause}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A file that cannot join a protected set.
    #[error("{}: {reason}", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Renewed tokens could not be read or kept.
    #[error("the tokens of this sign-in cannot be kept: {0}")]
    Tokens(io::Error),
}

/// The detail, and what is wrong with each field where there are several.
fn explained(problem: &Problem) -> String {
    if problem.errors.len() < 2 {
        return problem.detail.clone();
    }
    let lines = problem.errors.iter();
    let lines: Vec<String> = lines
        .map(|error| format!("{}: {}", error.pointer, error.detail))
        .collect();
    lines.join("; ")
}

impl Error {
    /// The problem document, if the server sent one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            _ => None,
        }
    }

    /// What programs match on.
    pub fn code(&self) -> Option<ErrorCode> {
        self.problem().map(|problem| problem.code)
    }

    /// The status of the answer, if there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(problem) => Some(problem.status),
            Self::Unexplained { status, .. } => Some(status.as_u16()),
            _ => None,
        }
    }
}

/// An error with its causes: the outermost alone says "error sending request".
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
