//! Consent belongs to its organisation: it outlives the account that asked for it.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// Lets an account go without the consents that it asked for in others' organisations.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[expect(
    elided_lifetimes_in_paths,
    reason = "async_trait writes the trait's lifetime as it was elided there"
)]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let approvals = match manager.get_database_backend() {
            DbBackend::Sqlite => include_str!("sql/m0017_approvals_sqlite.sql"),
            _ => include_str!("sql/m0017_approvals_postgres.sql"),
        };
        let connection = manager.get_connection();
        connection.execute_unprepared(approvals).await?;
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true) // SQLite would otherwise keep half a schema when the disk fills up
    }
}
