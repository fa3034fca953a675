//! Studies: jobs that work through the attack matrix, and the files that they leave.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// Admits the new kind of job and the new kinds of artifacts.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[expect(
    elided_lifetimes_in_paths,
    reason = "async_trait writes the trait's lifetime as it was elided there"
)]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let kinds = match manager.get_database_backend() {
            DbBackend::Sqlite => include_str!("sql/m0006_studies_sqlite.sql"),
            _ => include_str!("sql/m0006_studies_postgres.sql"),
        };
        manager.get_connection().execute_unprepared(kinds).await?;
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true) // SQLite would otherwise keep half a schema when the disk fills up
    }
}
