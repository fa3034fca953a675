//! The API over real sockets: every test has its own server, directory and SQLite file.

mod accounts;
mod demo;
mod documents;
mod events;
mod galleries;
mod jobs;
mod nodes;
mod problems;
mod scripted;
mod sets;
mod support;
mod uploads;
