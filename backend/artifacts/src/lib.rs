//! Package `artifacts`.
