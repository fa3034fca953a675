//! The audit log, webhooks, approvals, notices, exports and deletions.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// Adds the audit log, which takes no change, and the tables of the guard rails.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[expect(
    elided_lifetimes_in_paths,
    reason = "async_trait writes the trait's lifetime as it was elided there"
)]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let tables = include_str!("sql/m0005_audit.sql");
        connection.execute_unprepared(tables).await?;
        let triggers = match manager.get_database_backend() {
            DbBackend::Sqlite => include_str!("sql/m0005_audit_sqlite.sql"),
            _ => include_str!("sql/m0005_audit_postgres.sql"),
        };
        connection.execute_unprepared(triggers).await?;
        let webhooks = include_str!("sql/m0005_webhooks.sql");
        connection.execute_unprepared(webhooks).await?;
        let rails = include_str!("sql/m0005_guard_rails.sql");
        connection.execute_unprepared(rails).await?;
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true) // SQLite would otherwise keep half a schema when the disk fills up
    }
}
