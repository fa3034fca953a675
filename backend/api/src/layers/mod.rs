//! What wraps every request: id, log line, problem bodies, security headers, origin check, and the
//! door that knows who may do what.

pub(crate) mod attribution;
pub(crate) mod client;
pub(crate) mod guard;
mod idempotency;
mod limits;
pub(crate) mod meter;
pub(crate) mod origin;
mod represent;
pub(crate) mod respond;
pub(crate) mod response_cache;
pub(crate) mod security;
pub(crate) mod trace;
pub(crate) mod unread;
