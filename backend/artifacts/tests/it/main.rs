//! One conformance suite for every object store, and what only the local one must stand.

#![expect(
    clippy::unwrap_used,
    reason = "every function here is part of a test, which clippy sees in #[test] alone"
)]

mod bucket;
mod conformance;
mod deliveries;
mod local;
mod s3_server;
mod s3_store;
mod staging;
