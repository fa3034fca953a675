//! The API over real sockets: every test has its own server, directory and SQLite file.

mod accounts;
mod audit;
mod concepts;
mod data_subjects;
mod demo;
mod documents;
mod events;
mod galleries;
mod imports;
mod jobs;
mod nodes;
mod patches;
mod people;
mod probes;
mod problems;
mod releases;
mod revocations;
#[path = "../../../artifacts/tests/it/s3_server.rs"]
mod s3_server;
mod scripted;
mod sets;
mod support;
mod uploads;
mod webhooks;
