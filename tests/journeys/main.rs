//! Journeys through public HTTP alone, each with a server and a database of its own.

mod archives;
mod book;
mod command_line;
mod composition;
mod concepts;
mod demo_project;
mod identity_provider;
mod interruptions;
mod isolation;
mod log_secrets;
mod main_path;
mod model_import;
mod nodes;
mod readme;
mod replicas;
mod slots;
mod study;
mod traces;
mod upgrade;
