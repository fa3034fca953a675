//! Package `world`.
