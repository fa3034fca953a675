//! Organisations with members and roles, keys, tokens, second factors, and the letters that go with them.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// Makes every person an organisation, lets organisations own what people owned, and adds the tables of accounts.
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
        let accounts = include_str!("sql/m0004_accounts.sql");
        connection.execute_unprepared(accounts).await?;
        let tenants = match manager.get_database_backend() {
            DbBackend::Sqlite => include_str!("sql/m0004_tenants_sqlite.sql"),
            _ => include_str!("sql/m0004_tenants_postgres.sql"),
        };
        connection.execute_unprepared(tenants).await?;
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true) // SQLite would otherwise keep half a schema when the disk fills up
    }
}
