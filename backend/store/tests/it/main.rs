//! The store against real databases: SQLite always, PostgreSQL where one can be had.

mod accounts;
mod concurrency;
mod finishing;
mod idempotency;
mod interleaving;
mod jobs;
mod postgres;
mod scoping;
mod sets;
mod support;
