//! Why a request did not succeed, in words for people.
//!
//! Shows the API's own `detail`; invents text only where no answer came, and where the API's English is not the
//! reader's language and not known in it.

use shared::problem::{ErrorCode, FieldError, Problem};

use crate::language::{known, reply};

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
            Self::Refused(problem) => reply(&problem.title),
            Self::Unreachable => say!("The server does not answer").into(),
            Self::Unreadable { .. } => say!("The server's answer could not be read").into(),
            Self::Aborted => say!("The request was stopped").into(),
            Self::Browser(_) => say!("The browser could not do this").into(),
        }
    }

    /// What it means and what to do.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Refused(problem) => problem.detail.clone(),
            Self::Unreachable => {
                say!("Check that PersGuard is running and that you are online, then try again.")
                    .into()
            }
            Self::Unreadable { status, .. } => say!(
                "It came with status {status}. Reload the page: the dashboard may be older than the server.",
                status
            ),
            Self::Aborted => say!("Try again.").into(),
            Self::Browser(reason) => reason.clone(),
        }
    }

    /// What to do, where `detail` stays in English that the reader may not understand.
    pub(crate) fn advice(&self) -> Option<&'static str> {
        let Self::Refused(problem) = self else {
            return None;
        };
        known(&problem.detail)
            .is_none()
            .then(|| advice(problem.code))
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

const fn english_advice(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Unauthenticated => mark!("Sign in again, then repeat this."),
        ErrorCode::InvalidCredentials => mark!("Check what you typed and try again."),
        ErrorCode::SecondFactorRequired => mark!("Give the code of your authenticator app, too."),
        ErrorCode::Forbidden | ErrorCode::MissingScope | ErrorCode::AccessDenied => {
            mark!("Ask somebody who may do this.")
        }
        ErrorCode::NotFound | ErrorCode::Gone => {
            mark!("Go back and reload the list: it was deleted, or it is somebody else's.")
        }
        ErrorCode::Conflict | ErrorCode::PreconditionFailed | ErrorCode::Fenced => {
            mark!("Reload the page to see how things stand, then decide again.")
        }
        ErrorCode::EmailTaken => mark!("Sign in instead, or use another address."),
        ErrorCode::TooLarge => mark!("Choose a smaller file."),
        ErrorCode::UnsupportedMediaType | ErrorCode::UndecodableImage => {
            mark!("Choose a JPEG, PNG, WebP or TIFF picture.")
        }
        ErrorCode::DuplicateImage => mark!("There is nothing to do: the set has this image."),
        ErrorCode::Invalid => mark!("Mend the marked fields and send the form again."),
        ErrorCode::ChecksumMismatch => mark!("Upload the file again."),
        ErrorCode::NotReleasable => mark!("The gates of the release say what is missing."),
        ErrorCode::RateLimited | ErrorCode::SlowDown => mark!("Wait a minute, then try again."),
        ErrorCode::ExpiredToken => mark!("Start again and use the new code."),
        ErrorCode::AuthorizationPending => mark!("Confirm the code first."),
        ErrorCode::StorageUnavailable | ErrorCode::ProviderUnavailable => {
            mark!("Try again in a minute; if it stays so, tell whoever runs this server.")
        }
        ErrorCode::Malformed
        | ErrorCode::MethodNotAllowed
        | ErrorCode::PreconditionRequired
        | ErrorCode::IdempotencyKeyRequired
        | ErrorCode::IdempotencyKeyReused
        | ErrorCode::Internal
        | ErrorCode::Unknown => {
            mark!("Reload the page and try again; if it stays so, tell whoever runs this server.")
        }
    }
}

fn advice(code: ErrorCode) -> &'static str {
    crate::language::say(english_advice(code))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A refusal by the API.
    pub(crate) fn refused(code: ErrorCode, retryable: bool) -> ApiError {
        ApiError::Refused(Box::new(Problem {
            kind: String::new(),
            title: String::new(),
            status: 0,
            detail: String::new(),
            instance: String::new(),
            code,
            request_id: String::new(),
            retryable,
            errors: Vec::new(),
        }))
    }
}
