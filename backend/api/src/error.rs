//! The one error of the API, and the only place that knows what HTTP makes of it.
//!
//! Causes of 5xx answers go to the log under the request id; they never reach the client.

use std::fmt::Display;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use shared::{
    api_key::Scope,
    limits,
    problem::{ErrorCode, FieldError, Problem},
    release::ReleaseGate,
};

use crate::app::streams::MAX_STREAMS;

const IDENTITY_TAKEN: &str = "This identity is linked to an account already.";
const TOO_MANY_SHARE_LINKS: &str =
    "The gallery has 100 links that work, and no more fit. Revoke one first.";
const _: () = assert!(limits::MAX_SHARE_LINKS == 100);
const TOO_MANY_IDENTITIES: &str = "You have as many identities as fit. Remove one first.";
const LAST_WAY_IN: &str =
    "This is the only way into your account. Set a password or link another one first.";

/// Why a request is refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The request is not well-formed.
    #[error("{0}")]
    Malformed(String),
    /// No session and no valid token.
    #[error("Sign in, or send a valid access token.")]
    Unauthenticated,
    /// E-mail or password is wrong.
    #[error("The e-mail address or the password is wrong.")]
    InvalidCredentials,
    /// The password is right, the code is missing or wrong.
    #[error("{0}")]
    SecondFactorRequired(String),
    /// An API key without the scope that the route asks for.
    #[error("This API key lacks the scope `{}`. Make one that has it.", .0.as_str())]
    MissingScope(Scope),
    /// A signed-in person who cannot show a password or a code.
    #[error("{}", .0.detail)]
    WrongProof(FieldError),
    /// Known, but not allowed.
    #[error("{0}")]
    Forbidden(String),
    /// No such thing, or not the caller's.
    #[error("There is nothing here under this address, or it is not yours.")]
    NotFound,
    /// The route exists, the method does not.
    #[error("This address does not accept that method; the header Allow lists those it does.")]
    MethodNotAllowed,
    /// The object's state does not allow this now.
    #[error("{0}")]
    Conflict(String),
    /// The e-mail address has an account.
    #[error("An account with this e-mail address exists. Sign in instead.")]
    EmailTaken,
    /// Something expired.
    #[error("{0}")]
    Gone(String),
    /// `If-Match` names another version.
    #[error(
        "This changed since you read it. Read it again, then send your change with its new ETag."
    )]
    PreconditionFailed,
    /// `If-Match` is missing.
    #[error("Send the header If-Match with the ETag of what you read.")]
    PreconditionRequired,
    /// The body is larger than allowed.
    #[error("The request body is larger than allowed here.")]
    TooLarge,
    /// Gates of a release are closed.
    #[error("These weights cannot be exported. {}", closed(.0))]
    NotReleasable(Vec<ReleaseGate>),
    /// A media type that is not accepted.
    #[error("{0}")]
    UnsupportedMediaType(String),
    /// One or more fields are invalid.
    #[error("{}", summary(.0))]
    Invalid(Vec<FieldError>),
    /// `Idempotency-Key` is missing.
    #[error("Send the header Idempotency-Key with a value of your choice, new for every request.")]
    IdempotencyKeyRequired,
    /// `Idempotency-Key` came with another request before.
    #[error("This Idempotency-Key was used for another request. Choose a new one.")]
    IdempotencyKeyReused,
    /// Uploaded bytes differ from those announced.
    #[error("{0}")]
    ChecksumMismatch(String),
    /// The image could not be decoded within the limits.
    #[error("{0}")]
    UndecodableImage(String),
    /// The same image is in the set already.
    #[error("The same picture is in the set already.")]
    DuplicateImage,
    /// Files of an import have not arrived completely.
    #[error("{} files have not arrived completely: {}.", .0.len(), .0.join(", "))]
    FilesMissing(Vec<String>),
    /// The lease was taken over.
    #[error("This lease is over: another node holds the job, or the job has ended.")]
    Fenced,
    /// The request took too long.
    #[error("The request took too long. Try again.")]
    Timeout,
    /// A program that waits to be signed in is not, or not yet.
    #[error("{detail}")]
    NotGranted {
        /// The RFC's word for it.
        code: ErrorCode,
        /// What to do.
        detail: String,
    },
    /// Too many requests.
    #[error("Too many attempts. Try again in {retry_after_seconds} seconds.")]
    RateLimited {
        /// When to come back.
        retry_after_seconds: u64,
    },
    /// As many event streams as one caller may follow.
    #[error(
        "You follow {} event streams already, and no more at once. Close one, then try again.",
        MAX_STREAMS
    )]
    TooManyStreams,
    /// A store does not answer or has no space left.
    #[error("The server's storage is full or does not answer. Nothing was lost; try again later.")]
    StorageUnavailable(String),
    /// An identity provider that cannot be asked now.
    #[error("{0} does not answer as it should. Try again in a minute, or sign in another way.")]
    ProviderUnavailable(String),
    /// A fault of ours; the text is for the log alone.
    #[error("Something went wrong on the server. The request id helps to find out what.")]
    Internal(String),
}

fn summary(errors: &[FieldError]) -> String {
    match errors {
        [] => "The request is invalid.".into(),
        [one] => one.detail.clone(),
        [first, rest @ ..] => format!("{} ({} more)", first.detail, rest.len()),
    }
}

fn closed(gates: &[ReleaseGate]) -> String {
    let details: Vec<&str> = gates.iter().map(|gate| gate.detail.as_str()).collect();
    details.join(" ")
}

/// A closed gate as an error of its own.
fn gate(gate: &ReleaseGate) -> FieldError {
    let concept = gate.concept.map(|at| format!("/{at}")).unwrap_or_default();
    FieldError {
        pointer: format!("#/gates/{}{concept}", gate.kind.as_str()),
        code: gate.status.as_str().into(),
        detail: gate.detail.clone(),
    }
}

/// What every occurrence of a code is called.
const fn title(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Malformed => "Malformed request",
        ErrorCode::Unauthenticated => "Not signed in",
        ErrorCode::InvalidCredentials => "Wrong credentials",
        ErrorCode::SecondFactorRequired => "Second factor needed",
        ErrorCode::Forbidden => "Not allowed",
        ErrorCode::MissingScope => "Scope missing",
        ErrorCode::NotFound => "Not found",
        ErrorCode::MethodNotAllowed => "Method not allowed",
        ErrorCode::Conflict => "Not possible now",
        ErrorCode::EmailTaken => "Account exists",
        ErrorCode::Gone => "Expired",
        ErrorCode::PreconditionFailed => "Changed meanwhile",
        ErrorCode::PreconditionRequired => "Version missing",
        ErrorCode::TooLarge => "Too large",
        ErrorCode::NotReleasable => "Release gate closed",
        ErrorCode::UnsupportedMediaType => "Unsupported media type",
        ErrorCode::Invalid => "Invalid fields",
        ErrorCode::IdempotencyKeyRequired => "Idempotency key missing",
        ErrorCode::IdempotencyKeyReused => "Idempotency key reused",
        ErrorCode::ChecksumMismatch => "Bytes differ from those announced",
        ErrorCode::UndecodableImage => "Image cannot be decoded",
        ErrorCode::DuplicateImage => "Image is in the set already",
        ErrorCode::Fenced => "Lease is over",
        ErrorCode::AuthorizationPending => "Not confirmed yet",
        ErrorCode::SlowDown => "Asked too often",
        ErrorCode::AccessDenied => "Turned away",
        ErrorCode::ExpiredToken => "Code expired",
        ErrorCode::RateLimited => "Too many requests",
        ErrorCode::StorageUnavailable => "Storage unavailable",
        ErrorCode::ProviderUnavailable => "Identity provider unavailable",
        ErrorCode::Internal | ErrorCode::Unknown => "Internal error",
    }
}

impl Error {
    /// Wraps a fault of ours.
    pub fn internal(cause: impl Display) -> Self {
        Self::Internal(cause.to_string())
    }

    /// One invalid field.
    pub fn field(pointer: &str, code: &str, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError {
            pointer: pointer.into(),
            code: code.into(),
            detail: detail.into(),
        }])
    }

    /// A field that proves nothing.
    pub fn wrong_proof(pointer: &str, code: &str, detail: impl Into<String>) -> Self {
        Self::WrongProof(FieldError {
            pointer: pointer.into(),
            code: code.into(),
            detail: detail.into(),
        })
    }

    /// Refuses a request whose fields are invalid.
    pub fn unless_valid(errors: Vec<FieldError>) -> Result<(), Self> {
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Self::Invalid(errors))
        }
    }

    /// Status and code.
    pub const fn kind(&self) -> (StatusCode, ErrorCode) {
        use ErrorCode as Code;
        match self {
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, Code::Malformed),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, Code::Unauthenticated),
            Self::InvalidCredentials => (StatusCode::UNAUTHORIZED, Code::InvalidCredentials),
            Self::SecondFactorRequired(_) => (StatusCode::UNAUTHORIZED, Code::SecondFactorRequired),
            Self::WrongProof(_) => (StatusCode::FORBIDDEN, Code::InvalidCredentials),
            Self::MissingScope(_) => (StatusCode::FORBIDDEN, Code::MissingScope),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, Code::Forbidden),
            Self::NotFound => (StatusCode::NOT_FOUND, Code::NotFound),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, Code::MethodNotAllowed),
            Self::Conflict(_) | Self::FilesMissing(_) => (StatusCode::CONFLICT, Code::Conflict),
            Self::EmailTaken => (StatusCode::CONFLICT, Code::EmailTaken),
            Self::Gone(_) => (StatusCode::GONE, Code::Gone),
            Self::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, Code::PreconditionFailed),
            Self::PreconditionRequired => (
                StatusCode::PRECONDITION_REQUIRED,
                Code::PreconditionRequired,
            ),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, Code::TooLarge),
            Self::NotReleasable(_) => (StatusCode::FORBIDDEN, Code::NotReleasable),
            Self::UnsupportedMediaType(_) => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                Code::UnsupportedMediaType,
            ),
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, Code::Invalid),
            Self::IdempotencyKeyRequired => (StatusCode::BAD_REQUEST, Code::IdempotencyKeyRequired),
            Self::IdempotencyKeyReused => {
                (StatusCode::UNPROCESSABLE_ENTITY, Code::IdempotencyKeyReused)
            }
            Self::ChecksumMismatch(_) => (StatusCode::UNPROCESSABLE_ENTITY, Code::ChecksumMismatch),
            Self::UndecodableImage(_) => (StatusCode::UNPROCESSABLE_ENTITY, Code::UndecodableImage),
            Self::DuplicateImage => (StatusCode::CONFLICT, Code::DuplicateImage),
            Self::Fenced => (StatusCode::CONFLICT, Code::Fenced),
            Self::Timeout => (StatusCode::REQUEST_TIMEOUT, Code::Malformed),
            Self::NotGranted { code, .. } => (StatusCode::BAD_REQUEST, *code),
            Self::RateLimited { .. } | Self::TooManyStreams => {
                (StatusCode::TOO_MANY_REQUESTS, Code::RateLimited)
            }
            Self::StorageUnavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, Code::StorageUnavailable)
            }
            Self::ProviderUnavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, Code::ProviderUnavailable)
            }
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal),
        }
    }

    /// The problem as the client sees it.
    pub fn problem(&self, instance: &str, request_id: &str) -> Problem {
        let (status, code) = self.kind();
        let name = serde_json::to_value(code).ok();
        let name = name
            .as_ref()
            .and_then(|name| name.as_str())
            .unwrap_or("unknown");
        Problem {
            kind: format!("/problems/{name}"),
            title: title(code).into(),
            status: status.as_u16(),
            detail: self.to_string(),
            instance: instance.into(),
            code,
            request_id: request_id.into(),
            retryable: matches!(status.as_u16(), 408 | 429 | 500 | 503)
                || matches!(code, ErrorCode::AuthorizationPending | ErrorCode::SlowDown),
            errors: match self {
                Self::Invalid(errors) => errors.clone(),
                Self::WrongProof(error) => vec![error.clone()],
                Self::NotReleasable(gates) => gates.iter().map(gate).collect(),
                _ => Vec::new(),
            },
        }
    }

    /// What the log gets to know beyond what the client sees.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Internal(cause) | Self::StorageUnavailable(cause) => Some(cause),
            _ => None,
        }
    }

    /// The error behind a status that the framework answered by itself.
    pub fn from_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::REQUEST_TIMEOUT => Self::Timeout,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                Self::UnsupportedMediaType("This media type is not accepted here.".into())
            }
            status if status.is_client_error() => {
                Self::Malformed("The request is not well-formed.".into())
            }
            status => Self::Internal(format!("answered {status} without a reason")),
        }
    }
}

fn storage_full(used: u64, limit: u64) -> Error {
    Error::Conflict(format!(
        "Your organisation may keep {limit} bytes and keeps {used}: this would not fit. Delete what you do not need, or \
         ask whoever runs this server for more."
    ))
}

/// What changed between a look and what was done upon it.
const fn moved_on(error: &store::Error) -> &'static str {
    match error {
        store::Error::KeyReplaced => {
            "The keys of your organisation were renewed meanwhile. Send the same request again."
        }
        _ => "The set changed meanwhile. Look at it again, then seal it.",
    }
}

/// Why a node is not made, or not removed.
fn node_refusal(error: &store::Error) -> &'static str {
    const _: () = assert!(limits::MAX_NODES == 1000);
    match error {
        store::Error::OwnNode => {
            "The server starts this node itself. Pause it, or start the server with PERSGUARD_LOCAL_NODE=false."
        }
        _ => "This server has 1000 nodes, and no more fit. Remove one first.",
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        use store::Error as Store;
        let text = error.to_string();
        match error {
            Store::EmailTaken => Self::EmailTaken,
            Store::DuplicateImage => Self::DuplicateImage,
            Store::SetSealed => Self::Conflict("The set is sealed and cannot change.".into()),
            Store::SetNotSealed => Self::Conflict("Seal the set first.".into()),
            Store::SetFull => Self::Conflict(format!(
                "A set holds at most {} images.",
                limits::MAX_IMAGES
            )),
            Store::TooFewImages { images } => Self::Conflict(format!(
                "The set holds {images} images; at least {} are needed.",
                limits::MIN_IMAGES
            )),
            Store::SetChanged | Store::KeyReplaced => Self::Conflict(moved_on(&error).into()),
            Store::StorageFull { used, limit } => storage_full(used, limit),
            Store::NotReceived => Self::Conflict("The file has not arrived yet.".into()),
            Store::TooManyJobs { active } => Self::Conflict(format!(
                "You have {active} jobs waiting or running. Wait for one, or cancel it."
            )),
            Store::TooManyImports { open } => Self::Conflict(format!(
                "You have {open} imports that are not ready. Finish or delete one first."
            )),
            Store::TooManyModels { models } => Self::Conflict(format!(
                "You have imported {models} models. Delete one first."
            )),
            Store::FilesMissing { names } => Self::FilesMissing(names),
            Store::ImportState { .. } => {
                Self::Conflict("The import's state does not allow this. Look at its status.".into())
            }
            Store::ModelInUse => Self::Conflict(
                "Jobs were launched on this model, and their results name it. It stays.".into(),
            ),
            Store::TooManyPatches => Self::Conflict(format!(
                "You have {} patches. Delete one first.",
                limits::MAX_PATCHES
            )),
            Store::PatchInUse => Self::Conflict(
                "A job that has not ended shows this patch. Wait for its end, or cancel it.".into(),
            ),
            Store::PatchMissing => Self::Conflict(
                "A patch that this job shows was deleted. Add it again, then launch a new job."
                    .into(),
            ),
            Store::TooManyWebhooks => Self::Conflict(format!(
                "You have {} webhooks. Delete one first.",
                shared::webhook::MAX_WEBHOOKS
            )),
            Store::Changed => Self::PreconditionFailed,
            Store::SameReviewer => {
                Self::Conflict("You decided this before: an appeal needs another reviewer.".into())
            }
            Store::TooManyMembers => {
                Self::Conflict("No more members or organisations fit. Remove one first.".into())
            }
            Store::MemberAlready => Self::Conflict("This person is a member already.".into()),
            Store::LastOwner => Self::Conflict(
                "The owner cannot leave or change role. Transfer the organisation first.".into(),
            ),
            Store::OrganisationInUse => Self::Conflict(
                "Only an organisation without sets that is nobody's own can be deleted.".into(),
            ),
            Store::TooManyNodes | Store::OwnNode => Self::Conflict(node_refusal(&error).into()),
            Store::TooManyShareLinks => Self::Conflict(TOO_MANY_SHARE_LINKS.into()),
            Store::TooManyApiKeys => Self::Conflict(format!(
                "The organisation has {} keys. Revoke one first.",
                limits::MAX_API_KEYS
            )),
            Store::IdentityTaken => Self::Conflict(IDENTITY_TAKEN.into()),
            Store::TooManyIdentities => Self::Conflict(TOO_MANY_IDENTITIES.into()),
            Store::LastWayIn => Self::Conflict(LAST_WAY_IN.into()),
            Store::Conflict(_) => Self::Conflict("This exists already.".into()),
            Store::NoSpace | Store::Unavailable(_) => Self::StorageUnavailable(text),
            Store::NoConcept
            | Store::IllegalTransition { .. }
            | Store::Corrupt { .. }
            | Store::Database(_)
            | Store::BadDump(_) => Self::Internal(text),
        }
    }
}

impl From<artifacts::Error> for Error {
    fn from(error: artifacts::Error) -> Self {
        use artifacts::Error as Artifacts;
        let text = error.to_string();
        match error {
            Artifacts::SizeMismatch { expected, received } if received > expected => Self::TooLarge,
            Artifacts::SizeMismatch { .. } | Artifacts::HashMismatch { .. } => {
                Self::ChecksumMismatch(format!("The bytes are not those announced: {text}."))
            }
            Artifacts::WrongOffset { received } => Self::Conflict(format!(
                "The server has {received} bytes of this file. Go on at byte {received}."
            )),
            Artifacts::Busy => Self::Conflict(
                "Another part of this file is being received. Wait for its end, then go on.".into(),
            ),
            Artifacts::OutOfRange { .. } => Self::Malformed(text),
            Artifacts::Body(_) => Self::Malformed("The body did not arrive completely.".into()),
            Artifacts::NoUpload => Self::NotFound,
            Artifacts::NoSpace
            | Artifacts::Storage { .. }
            | Artifacts::Settings(_)
            | Artifacts::Denied { .. }
            | Artifacts::NoBucket
            | Artifacts::Missing { .. }
            | Artifacts::Changed { .. }
            | Artifacts::Damaged { .. }
            | Artifacts::ClockSkew { .. }
            | Artifacts::Unreachable { .. }
            | Artifacts::Refused { .. } => Self::StorageUnavailable(text),
        }
    }
}

impl IntoResponse for Error {
    /// A bare response that carries the error; `layers::respond` writes the body, because the
    /// path and the request id are known only there.
    fn into_response(self) -> Response {
        let mut response = self.kind().0.into_response();
        let headers = response.headers_mut();
        match &self {
            Self::Unauthenticated | Self::InvalidCredentials | Self::SecondFactorRequired(_) => {
                let challenge = HeaderValue::from_static("Bearer realm=\"persguard\"");
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            Self::RateLimited {
                retry_after_seconds,
            } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(*retry_after_seconds));
            }
            Self::StorageUnavailable(_) | Self::ProviderUnavailable(_) | Self::TooManyStreams => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
            }
            _ => {}
        }
        response.extensions_mut().insert(self);
        response
    }
}
