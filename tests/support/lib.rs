//! What every journey needs: the real server in a directory of its own, people who use it, and
//! what runs behind it.

pub mod collector;
pub mod composition;
pub mod letters;
pub mod machine;
pub mod nats;
pub mod person;
pub mod postgres;
pub mod processes;
pub mod provider;
pub mod proxy;
pub mod script;
pub mod server;
pub mod wait;

pub use collector::Collector;
pub use composition::Composition;
pub use machine::Machine;
pub use nats::Nats;
pub use person::Person;
pub use postgres::Postgres;
pub use proxy::Proxy;
pub use server::Server;
