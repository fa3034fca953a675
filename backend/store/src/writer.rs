//! Where writes go: single statements and transactions that return once they are durable.

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult,
    QueryResult, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
    entity::prelude::async_trait::async_trait,
};

use crate::{changes::Changes, durability::Flusher};

/// The connection that writes.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) connection: DatabaseConnection,
    /// On SQLite; PostgreSQL's commits are durable by themselves.
    pub(crate) flusher: Option<Flusher>,
    pub(crate) changes: Changes,
}

/// A transaction of the writer.
#[derive(Debug)]
pub(crate) struct Transaction {
    inner: DatabaseTransaction,
    flusher: Option<Flusher>,
    changes: Changes,
}

async fn flush(flusher: Option<&Flusher>) -> Result<(), DbErr> {
    match flusher {
        Some(flusher) => flusher.flush().await,
        None => Ok(()),
    }
}

impl Writer {
    /// Refuses to write where nothing would reach the disk.
    pub(crate) fn check(&self) -> Result<(), DbErr> {
        self.flusher.as_ref().map_or(Ok(()), Flusher::check)
    }

    /// What a single statement gives, once it is durable.
    async fn durably<T>(
        &self,
        statement: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        self.check()?;
        let change = self.changes.begin();
        let result = statement.await?;
        drop(change);
        flush(self.flusher.as_ref()).await?;
        Ok(result)
    }

    pub(crate) async fn begin(&self) -> Result<Transaction, DbErr> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.check()?;
        Ok(Transaction {
            inner: self.connection.begin_with_options(options).await?,
            flusher: self.flusher.clone(),
            changes: self.changes.clone(),
        })
    }
}

impl Transaction {
    /// Commits; what was written is on the disk when this returns.
    pub(crate) async fn commit(self) -> Result<(), DbErr> {
        let change = self.changes.begin();
        self.inner.commit().await?;
        drop(change);
        flush(self.flusher.as_ref()).await
    }

    /// Commits; what was written is on the disk with the next commit that is, and may be lost until then if the machine
    /// loses its power. For what is worth nothing without a commit that follows.
    pub(crate) async fn commit_with_the_next(self) -> Result<(), DbErr> {
        let _change = self.changes.begin();
        self.inner.commit().await
    }

    pub(crate) async fn rollback(self) -> Result<(), DbErr> {
        self.inner.rollback().await
    }
}

#[async_trait]
impl ConnectionTrait for Writer {
    fn get_database_backend(&self) -> DbBackend {
        self.connection.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.durably(self.connection.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.durably(self.connection.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.durably(self.connection.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.durably(self.connection.query_all_raw(statement)).await
    }
}

#[async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.inner.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.inner.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.inner.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.inner.query_all_raw(statement).await
    }
}
