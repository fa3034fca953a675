//! Package `eval`.
