//! The API over real sockets: every test has its own server, directory and SQLite file.

mod accounts;
mod audit;
mod authorisation;
mod clients;
mod commands;
mod concepts;
mod data_subjects;
mod demo;
mod devices;
mod documents;
mod events;
mod galleries;
mod imports;
mod jobs;
mod keys;
mod letters;
mod nodes;
mod organisations;
mod patches;
mod people;
mod probes;
mod problems;
mod proxy;
mod releases;
mod revocations;
mod rules;
#[path = "../../../artifacts/tests/it/s3_server/mod.rs"]
mod s3_server;
mod scripted;
mod second_factors;
mod sets;
mod share_links;
mod storage;
mod support;
mod uploads;
mod webhooks;
