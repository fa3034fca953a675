//! Package `node`.
