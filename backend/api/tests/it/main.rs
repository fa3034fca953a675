//! The API over real sockets: every test has its own server, directory and SQLite file.

mod accounts;
mod documents;
mod jobs;
mod nodes;
mod problems;
mod sets;
mod support;
mod uploads;
