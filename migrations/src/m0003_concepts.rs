//! Jobs of several concepts, probes, and the patches that their owners bring along.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// Admits the new kinds of jobs and artifacts, rewrites stored specifications and adds patches.
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
        let kinds = match manager.get_database_backend() {
            DbBackend::Sqlite => include_str!("sql/m0003_kinds_sqlite.sql"),
            _ => include_str!("sql/m0003_kinds_postgres.sql"),
        };
        connection.execute_unprepared(kinds).await?;
        let patches = include_str!("sql/m0003_patches.sql");
        connection.execute_unprepared(patches).await?;
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true) // SQLite would otherwise keep half a schema when the disk fills up
    }
}
