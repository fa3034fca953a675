//! What handlers take: an authorised person or node, a body, paging, an idempotency key.

pub(crate) mod body;
pub(crate) mod conditional;
pub(crate) mod idempotency;
pub(crate) mod identity;
mod image_file;
pub(crate) mod owned;
mod paging;

pub(crate) use body::{Json, OptionalJson};
pub(crate) use conditional::IfMatch;
pub(crate) use idempotency::IdempotencyKey;
pub(crate) use identity::{Administrator, CurrentUser, NodeIdentity, Visitor};
pub(crate) use image_file::ImageFile;
pub(crate) use owned::{Id, Ids, OwnedJob, OwnedSet};
