//! Base models of single accounts, and the imports that they come from.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// Gives base models an owner and adds the tables of imports.
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
        let owners = match manager.get_database_backend() {
            DbBackend::Sqlite => include_str!("sql/m0002_owners_sqlite.sql"),
            _ => include_str!("sql/m0002_owners_postgres.sql"),
        };
        connection.execute_unprepared(owners).await?;
        let imports = include_str!("sql/m0002_model_imports.sql");
        connection.execute_unprepared(imports).await?;
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true) // SQLite would otherwise keep half a schema when the disk fills up
    }
}
