//! Package `shared`.
