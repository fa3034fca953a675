//! What wraps every request: id, log line, problem bodies, security headers, origin check.

pub(crate) mod attribution;
pub(crate) mod origin;
pub(crate) mod respond;
pub(crate) mod security;
