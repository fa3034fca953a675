//! Package `migrations`.
