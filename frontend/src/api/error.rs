//! Why a request did not succeed, in words for people.
//!
//! Shows the API's own `detail`; invents text only where no answer came.

use shared::problem::{ErrorCode, FieldError, Problem};

/// What can go wrong between the browser and the API.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ApiError {
    /// The API answered with problem details.
    Refused(Box<Problem>),
    /// No answer came: the server is down or the network is.
    Unreachable,
    /// An answer came that this client cannot read.
    Unreadable { status: u16, request_id: String },
    /// The page that asked is gone.
    Aborted,
    /// The browser refused to do its part.
    Browser(String),
}

impl ApiError {
    /// What happened.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Refused(problem) => problem.title.clone(),
            Self::Unreachable => "The server does not answer".into(),
            Self::Unreadable { .. } => "The server's answer could not be read".into(),
            Self::Aborted => "The request was stopped".into(),
            Self::Browser(_) => "The browser could not do this".into(),
        }
    }

    /// What it means and what to do.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Refused(problem) => problem.detail.clone(),
            Self::Unreachable => {
                "Check that PersGuard is running and that you are online, then try again.".into()
            }
            Self::Unreadable { status, .. } => format!(
                "It came with status {status}. Reload the page: the dashboard may be older than the server."
            ),
            Self::Aborted => "Try again.".into(),
            Self::Browser(reason) => reason.clone(),
        }
    }

    /// What support needs to find it in the log.
    pub(crate) fn request_id(&self) -> Option<&str> {
        let id = match self {
            Self::Refused(problem) => problem.request_id.as_str(),
            Self::Unreadable { request_id, .. } => request_id.as_str(),
            Self::Unreachable | Self::Aborted | Self::Browser(_) => "",
        };
        (!id.is_empty()).then_some(id)
    }

    /// What clients match on, if the API said so.
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(problem) => Some(problem.code),
            _ => None,
        }
    }

    /// The fields that the API refused.
    pub(crate) fn fields(&self) -> &[FieldError] {
        match self {
            Self::Refused(problem) => &problem.errors,
            _ => &[],
        }
    }

    /// Whether the same request may succeed later.
    pub(crate) fn retryable(&self) -> bool {
        match self {
            Self::Refused(problem) => problem.retryable,
            _ => true,
        }
    }
}
