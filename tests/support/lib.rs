//! What every journey needs: the real server in a directory of its own, people who use it, and
//! what runs behind it.

pub mod letters;
pub mod person;
pub mod processes;
pub mod provider;
pub mod server;
pub mod wait;

pub use person::Person;
pub use server::Server;
