//! Versioned schema migrations, one set for SQLite and PostgreSQL.
//!
//! Owns the tables. Refuses queries: reading and writing rows is the store's.

mod m0002_model_imports;
mod m0003_concepts;
mod m0004_accounts;
mod m0005_guard_rails;
mod m0006_studies;
mod m0017_approvals;
mod statements;

use sea_orm_migration::{
    DbErr, MigrationTrait, MigratorTrait,
    sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend},
};

/// Why a database could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database is not there or does not let us in.
    #[error("cannot open the database: {0}")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A migration failed; nothing of it was kept.
    #[error("cannot migrate the database: {0}")]
    Migrate(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The migration of the SQL text with this name.
macro_rules! statements {
    ($name:literal) => {
        Box::new(statements::Statements {
            name: $name,
            sql: include_str!(concat!("sql/", $name, ".sql")),
        })
    };
}

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            statements!("m0001_main_path"),
            Box::new(m0002_model_imports::Migration),
            Box::new(m0003_concepts::Migration),
            Box::new(m0004_accounts::Migration),
            Box::new(m0005_guard_rails::Migration),
            Box::new(m0006_studies::Migration),
            statements!("m0007_devices"),
            statements!("m0008_share_links"),
            statements!("m0009_identities"),
            statements!("m0010_nodes"),
            statements!("m0011_pictures"),
            statements!("m0012_archives"),
            statements!("m0013_traces"),
            statements!("m0014_attempt_devices"),
            statements!("m0015_subjects"),
            statements!("m0016_queue"),
            Box::new(m0017_approvals::Migration),
        ]
    }
}

/// Any number that is the same in every process that migrates this schema.
const ADVISORY_LOCK: i64 = 0x7065_7273_6775_6172;

/// Applies every migration that is missing; safe to repeat and to run from several processes.
///
/// A SQLite file is created when it does not exist.
pub async fn migrate(database_url: &str) -> Result<(), Error> {
    let connection = connect(database_url)
        .await
        .map_err(|error| Error::Connect(Box::new(error)))?;
    let result = apply(&connection).await;
    let closed = connection.close().await;
    result
        .and(closed)
        .map_err(|error| Error::Migrate(Box::new(error)))
}

async fn connect(database_url: &str) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(database_url);
    // One connection: the advisory lock belongs to the session that holds it.
    options
        .max_connections(1)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(|options| {
            options
                .create_if_missing(true)
                .pragma("journal_mode", "WAL")
                .pragma("busy_timeout", "10000")
        });
    // The future of a connection attempt is too large for a stack.
    Box::pin(Database::connect(options)).await
}

async fn apply(connection: &DatabaseConnection) -> Result<(), DbErr> {
    if connection.get_database_backend() == DbBackend::Postgres {
        let lock = format!("SELECT pg_advisory_lock({ADVISORY_LOCK})");
        connection.execute_unprepared(&lock).await?;
    }
    Migrator::up(connection, None).await
}
