//! Package `demo`.
