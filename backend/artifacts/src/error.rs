//! Why an object was not stored or not found.

use std::io::{self, ErrorKind};

use crate::ObjectHash;

/// What went wrong in an object store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body is shorter or longer than announced.
    #[error("expected {expected} bytes, received {received}{}", if received > expected { " or more" } else { "" })]
    SizeMismatch {
        /// Bytes announced.
        expected: u64,
        /// Bytes seen before giving up.
        received: u64,
    },
    /// The bytes are not those that were announced.
    #[error("expected SHA-256 {expected}, received {received}")]
    HashMismatch {
        /// Announced.
        expected: ObjectHash,
        /// Of the bytes that came.
        received: ObjectHash,
    },
    /// The range starts at or behind the end of the object, or ends before it starts.
    #[error("the range {start}..{end} does not lie in an object of {size_bytes} bytes")]
    OutOfRange {
        /// First byte asked for.
        start: u64,
        /// First byte not asked for.
        end: u64,
        /// The object's size.
        size_bytes: u64,
    },
    /// A part does not begin where the file ends.
    #[error("the file holds {received} bytes: go on there")]
    WrongOffset {
        /// Bytes that are here.
        received: u64,
    },
    /// Another body is being added to the file.
    #[error("another part of this file is being received")]
    Busy,
    /// No room is left; nothing was kept.
    #[error("the object store has no space left")]
    NoSpace,
    /// The sender broke off.
    #[error("the body ended with an error: {0}")]
    Body(#[source] io::Error),
    /// Nothing of this upload is here: it was completed, given up, or never begun.
    #[error("there is no such upload")]
    NoUpload,
    /// The settings of the object storage cannot be used.
    #[error("the settings of the object storage cannot be used: {0}")]
    Settings(String),
    /// The keys of the object storage do not permit it.
    #[error("cannot {action}: the object storage refused the keys ({code})")]
    Denied {
        /// What it was doing.
        action: &'static str,
        /// The refusal.
        code: String,
    },
    /// The bucket is gone.
    #[error("the object storage has no such bucket")]
    NoBucket,
    /// The object is gone.
    #[error("cannot {action}: the object storage has no such object")]
    Missing {
        /// What it was doing.
        action: &'static str,
    },
    /// The object is another one than was looked at.
    #[error("cannot {action}: the object changed meanwhile")]
    Changed {
        /// What it was doing.
        action: &'static str,
    },
    /// Bytes were damaged on the way.
    #[error("cannot {action}: the bytes were damaged on the way")]
    Damaged {
        /// What it was doing.
        action: &'static str,
    },
    /// This machine and the object storage disagree about the time.
    #[error("the clocks of this machine and of the object storage differ{}: set this machine's clock", skew(*seconds))]
    ClockSkew {
        /// How far the object storage is ahead, where it said.
        seconds: Option<i64>,
    },
    /// The object storage does not answer, or is busy, or the line broke.
    #[error("cannot {action}: the object storage does not answer ({reason})")]
    Unreachable {
        /// What it was doing.
        action: &'static str,
        /// What happened last.
        reason: String,
    },
    /// The object storage answered something that another try does not change.
    #[error("cannot {action}: the object storage refused ({reason})")]
    Refused {
        /// What it was doing.
        action: &'static str,
        /// What it said.
        reason: String,
    },
    /// The store itself failed.
    #[error("cannot {action}: {source}")]
    Storage {
        /// What it was doing.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

fn skew(seconds: Option<i64>) -> String {
    seconds.map_or_else(String::new, |seconds| format!(" by {} s", seconds.abs()))
}

impl Error {
    /// Whether another try may succeed without anybody's doing.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Damaged { .. })
    }

    /// Names what failed; a full disk, a used up quota and a file size limit mean the same here.
    pub(crate) fn storage(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                Self::NoSpace
            }
            _ => Self::Storage { action, source },
        }
    }
}
