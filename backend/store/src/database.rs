//! Connections: one writer at a time on SQLite, readers beside it; one pool on PostgreSQL.

use std::{path::PathBuf, time::Duration};

use sea_orm::{
    ColumnTrait, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend,
    EntityTrait, IntoActiveModel, ModelTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    Statement,
};
use shared::Timestamp;
use uuid::{NoContext, Uuid};

use crate::{
    Error,
    changes::Changes,
    durability::Flusher,
    locks::{self, Locks},
    usage::Limits,
    writer::{Transaction, Writer},
};

/// The database. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) reader: DatabaseConnection,
    writer: Writer,
    pub(crate) locks: Locks,
    pub(crate) limits: Limits,
}

/// Longest wait for a connection or for SQLite's write lock.
const WAIT: Duration = Duration::from_secs(20);
const CONNECTIONS: u32 = 8;

/// A new sortable UUID (version 7) for a moment.
pub fn new_uuid(now: Timestamp) -> Uuid {
    let milliseconds = u64::try_from(now.milliseconds()).unwrap_or(0);
    let nanoseconds = u32::try_from(milliseconds % 1000).unwrap_or(0) * 1_000_000;
    Uuid::new_v7(uuid::Timestamp::from_unix(
        NoContext,
        milliseconds / 1000,
        nanoseconds,
    ))
}

impl Store {
    /// Opens a database that was migrated before: `sqlite://…` or `postgres://…`.
    pub async fn connect(database_url: &str) -> Result<Self, Error> {
        if !database_url.starts_with("sqlite:") {
            let pool = connect(postgres(database_url, CONNECTIONS)).await?;
            let writer = Writer {
                connection: pool.clone(),
                flusher: None,
                changes: Changes::default(),
            };
            let mut holders = postgres(database_url, locks::CONNECTIONS);
            holders.connect_lazy(true);
            return Ok(Self {
                reader: pool,
                writer,
                locks: Locks::Database(connect(holders).await?),
                limits: Limits::default(),
            });
        }
        Ok(Self {
            writer: writer(database_url).await?,
            reader: connect(sqlite(database_url, CONNECTIONS, None)).await?,
            locks: Locks::of_process(),
            limits: Limits::default(),
        })
    }

    /// Whether the database answers, and what is written reaches the disk.
    pub async fn ping(&self) -> Result<(), Error> {
        self.writer.check()?;
        Ok(self.reader.ping().await?)
    }

    /// Closes every connection once its work is done.
    pub async fn close(self) -> Result<(), Error> {
        self.reader.close_by_ref().await?;
        if let Locks::Database(locks) = &self.locks {
            locks.close_by_ref().await?;
        }
        Ok(self.writer.connection.close_by_ref().await?)
    }

    /// Starts a transaction that may write. On SQLite it holds the write lock from the start, so
    /// that what it reads stays true until it commits.
    ///
    /// Roll back by name where a row was locked: a dropped transaction keeps its locks until some
    /// task gets round to it, and a claim passes over locked jobs.
    pub(crate) async fn begin(&self) -> Result<Transaction, Error> {
        Ok(self.writer.begin().await?)
    }

    /// Where a single statement that writes is sent; durable when it returns.
    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// The same for what is worth nothing without a commit that follows: it is on the disk with the next one.
    pub(crate) fn writer_with_the_next(&self) -> Result<Writer, Error> {
        self.writer.check()?;
        Ok(Writer {
            flusher: None,
            ..self.writer.clone()
        })
    }

    /// Rises with everything that this process writes, before whoever wrote is told: what was read after a count was
    /// taken is what the database holds while the count stays. `None` where other servers write to it, too.
    pub fn changes(&self) -> Option<u64> {
        (!self.is_postgres()).then(|| self.writer.changes.count())
    }

    /// Whether row locks exist and are needed.
    pub(crate) fn is_postgres(&self) -> bool {
        self.writer.get_database_backend() == DbBackend::Postgres
    }
}

/// A page of rows from below `after`, newest first: ids rise with time.
pub(crate) fn page<E: EntityTrait>(
    query: Select<E>,
    id: E::Column,
    after: Option<Uuid>,
    limit: u64,
) -> Select<E> {
    let below = match after {
        Some(after) => query.filter(id.lt(after)),
        None => query,
    };
    below.order_by_desc(id).limit(limit)
}

/// Inserts one row with every column.
pub(crate) async fn insert<M>(
    connection: &impl ConnectionTrait,
    model: M,
) -> Result<(), sea_orm::DbErr>
where
    M: ModelTrait + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel>,
{
    M::Entity::insert(model.into_active_model())
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

/// On the heap: the future of a connection attempt is too large for a stack.
async fn connect(options: ConnectOptions) -> Result<DatabaseConnection, sea_orm::DbErr> {
    Box::pin(Database::connect(options)).await
}

fn options(database_url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(database_url);
    options
        .max_connections(connections)
        .acquire_timeout(WAIT)
        .sqlx_logging(false);
    options
}

/// Connections that rested for so long are asked before they are used: the database may have been started anew.
const TRUSTED: Duration = Duration::from_secs(1);

/// Asking each time would double the way to the database.
fn postgres(database_url: &str, connections: u32) -> ConnectOptions {
    let mut options = options(database_url, connections);
    options.test_before_acquire_if_idle_for(TRUSTED);
    options
}

/// The one connection that writes to a SQLite database: its commits are synced in groups where there is a log to sync,
/// and each by itself elsewhere.
async fn writer(database_url: &str) -> Result<Writer, Error> {
    let connection = connect(sqlite(database_url, 1, Some("NORMAL"))).await?;
    if let Some(path) = logged_file(&connection).await? {
        let flusher =
            Flusher::start(&path).map_err(|error| Error::Unavailable(error.to_string()))?;
        return Ok(Writer {
            connection,
            flusher: Some(flusher),
            changes: Changes::default(),
        });
    }
    connection.close().await?;
    Ok(Writer {
        connection: connect(sqlite(database_url, 1, Some("FULL"))).await?,
        flusher: None,
        changes: Changes::default(),
    })
}

/// The database's file as SQLite found it, behind every link, where it keeps a write-ahead log.
async fn logged_file(connection: &DatabaseConnection) -> Result<Option<PathBuf>, Error> {
    let ask = async |sql: &str, column: &str| {
        let row = connection
            .query_one_raw(Statement::from_string(DbBackend::Sqlite, sql))
            .await?;
        row.map(|row| row.try_get::<String>("", column)).transpose()
    };
    let mode = ask("PRAGMA journal_mode", "journal_mode").await?;
    let file = ask("PRAGMA database_list", "file").await?;
    let file = file.filter(|file| !file.is_empty());
    Ok(file
        .filter(|_| mode.as_deref() == Some("wal"))
        .map(PathBuf::from))
}

/// Readers name no mode of writing.
fn sqlite(
    database_url: &str,
    connections: u32,
    synchronous: Option<&'static str>,
) -> ConnectOptions {
    let mut options = options(database_url, connections);
    // A connection to a file does not break: asking first would double the way to it.
    options.test_before_acquire(false);
    options.map_sqlx_sqlite_opts(move |options| {
        options
            .pragma("journal_mode", "WAL")
            .pragma("synchronous", synchronous.unwrap_or("FULL"))
            .pragma("busy_timeout", WAIT.as_millis().to_string())
            .pragma("foreign_keys", "ON")
            // Keys that were destroyed must not stay in free pages.
            .pragma("secure_delete", "ON")
            .pragma(
                "query_only",
                if synchronous.is_none() { "ON" } else { "OFF" },
            )
    });
    options
}
