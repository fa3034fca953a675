//! One conformance suite for every object store, and what only the local one must stand.

#![expect(
    clippy::unwrap_used,
    reason = "every function here is part of a test, which clippy sees in #[test] alone"
)]

mod bucket;
mod check;
mod collector;
mod conformance;
mod deliveries;
mod faults;
mod garage;
mod killer;
mod kills;
mod local;
mod paced;
mod s3_server;
mod s3_store;
mod staging;
mod tally;
