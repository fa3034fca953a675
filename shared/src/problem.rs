//! Errors on the wire: RFC 9457 problem details, one code a cause.

use serde::{Deserialize, Serialize};

/// What clients match on. People read `detail`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request is not well-formed (syntax, headers, encoding).
    Malformed,
    /// No session and no valid token.
    Unauthenticated,
    /// E-mail or password is wrong.
    InvalidCredentials,
    /// The account asks for a code of the authenticator app beside the password.
    SecondFactorRequired,
    /// Known, but not allowed (other origin, quota, policy).
    Forbidden,
    /// The API key lacks a scope; `detail` names it.
    MissingScope,
    /// No such thing, or not yours.
    NotFound,
    /// The route exists, the method does not.
    MethodNotAllowed,
    /// The object's state does not allow this now.
    Conflict,
    /// An account with this e-mail address exists.
    EmailTaken,
    /// Something expired or was deleted.
    Gone,
    /// A protected checkpoint cannot be exported: `errors` lists the closed gates.
    NotReleasable,
    /// The object changed since it was read: `If-Match` names another version.
    PreconditionFailed,
    /// `If-Match` is missing where it is required.
    PreconditionRequired,
    /// The body is larger than its limit.
    TooLarge,
    /// The media type or the file's content is not one that is accepted.
    UnsupportedMediaType,
    /// One or more fields are invalid; `errors` lists them.
    Invalid,
    /// `Idempotency-Key` is missing where it is required.
    IdempotencyKeyRequired,
    /// The same `Idempotency-Key` came with another request.
    IdempotencyKeyReused,
    /// Uploaded bytes do not have the announced size or SHA-256.
    ChecksumMismatch,
    /// The image could not be decoded within the limits.
    UndecodableImage,
    /// The same image is in the set already.
    DuplicateImage,
    /// A node's lease was taken over: its result is refused.
    Fenced,
    /// Nobody has confirmed the program's code yet (RFC 8628); ask again after the interval.
    AuthorizationPending,
    /// The program asks too often (RFC 8628); wait five seconds longer from now on.
    SlowDown,
    /// The person turned the program away (RFC 8628).
    AccessDenied,
    /// The program's code was used, or it has expired (RFC 8628).
    ExpiredToken,
    /// Too many requests.
    RateLimited,
    /// No space is left, or a store does not answer.
    StorageUnavailable,
    /// An identity provider does not answer, or not as it should.
    ProviderUnavailable,
    /// A fault of ours.
    Internal,
    /// A code this client does not know yet.
    #[serde(other)]
    Unknown,
}

/// One field that is invalid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// JSON pointer as a URI fragment, such as `#/objective/target_class`.
    pub pointer: String,
    /// Stable code of the reason.
    pub code: String,
    /// What is wrong and how to mend it.
    pub detail: String,
}

/// A problem details object (RFC 9457) with this API's extensions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Stable URI of the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for every occurrence of the kind.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This occurrence, and what to do.
    pub detail: String,
    /// The path that was asked for.
    pub instance: String,
    /// What clients match on.
    pub code: ErrorCode,
    /// Ties the answer to the server's log.
    pub request_id: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// Invalid fields, if any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// Adds a field error unless `holds`.
pub fn check(
    errors: &mut Vec<FieldError>,
    holds: bool,
    pointer: &str,
    code: &str,
    detail: impl FnOnce() -> String,
) {
    if !holds {
        errors.push(FieldError {
            pointer: pointer.into(),
            code: code.into(),
            detail: detail(),
        });
    }
}
