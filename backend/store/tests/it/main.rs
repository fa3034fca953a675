//! The store against real databases: SQLite always, PostgreSQL where one can be had.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "every function here is part of a test, which clippy sees in #[test] alone"
)]

mod accounts;
mod audit;
mod concepts;
mod concurrency;
mod credentials;
mod data_keys;
mod finishing;
mod guard_rails;
mod idempotency;
mod identities;
mod imports;
mod interleaving;
mod jobs;
mod locks;
mod organisations;
mod patches;
mod portable;
mod postgres;
mod retention;
mod scoping;
mod sets;
mod slots;
mod studies;
mod support;
mod training_nodes;
mod usage;
mod webhooks;
