//! What handlers take: an authorised person or node, a body, paging, an idempotency key.

pub(crate) mod body;
pub(crate) mod idempotency;
pub(crate) mod identity;
pub(crate) mod if_match;
mod image_file;
pub(crate) mod language;
mod listing;
pub(crate) mod owned;
mod paging;

pub(crate) use body::{Json, MergePatch, OptionalJson};
pub(crate) use idempotency::{IdempotencyKey, OptionalIdempotencyKey};
pub(crate) use identity::{CurrentUser, NodeIdentity, Tenant, Visitor};
pub(crate) use if_match::VersionHeader;
pub(crate) use image_file::ImageFile;
pub(crate) use language::Spoken;
pub(crate) use listing::{Listing, NextPage};
pub(crate) use owned::{Id, Ids, OwnedJob, OwnedNotice, OwnedSet};
