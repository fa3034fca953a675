//! Package `api`.
