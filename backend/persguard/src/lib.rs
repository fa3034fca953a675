//! Package `persguard`.
