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
    /// The store itself failed.
    #[error("cannot {action}: {source}")]
    Storage {
        /// What it was doing.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl Error {
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
