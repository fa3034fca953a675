//! One state of the database, row by row.

use std::io::Write;

use futures::TryStreamExt;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseTransaction, DbBackend, IsolationLevel, Statement,
    StreamTrait, TransactionTrait,
};

use super::{
    Dumped, Line,
    schema::{self, Kind, Table},
};
use crate::{Error, Store, collector};

/// How a column is written into a row's object.
fn value(column: &str, kind: Kind, backend: DbBackend) -> String {
    match (backend, kind) {
        (DbBackend::Postgres, Kind::Uuid) => format!("replace(\"{column}\"::text, '-', '')"),
        (DbBackend::Postgres, _) | (_, Kind::Plain) => format!("\"{column}\""),
        // Of nothing it would make an empty text.
        (_, Kind::Uuid) => format!("iif(\"{column}\" IS NULL, NULL, lower(hex(\"{column}\")))"),
        (_, Kind::Boolean) => {
            format!(
                "json(CASE \"{column}\" WHEN 0 THEN 'false' WHEN 1 THEN 'true' ELSE 'null' END)"
            )
        }
    }
}

/// A statement that gives each row as one JSON text.
fn select(table: &Table, backend: DbBackend) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|(column, kind)| format!("'{column}', {}", value(column, *kind, backend)))
        .collect();
    let columns = columns.join(", ");
    let object = match backend {
        DbBackend::Postgres => format!("json_build_object({columns})::text"),
        _ => format!("json_object({columns})"),
    };
    let order = table.order();
    format!(
        "SELECT {object} FROM \"{}\" ORDER BY \"{order}\"",
        table.name
    )
}

async fn write_table(
    transaction: &DatabaseTransaction,
    table: &Table,
    to: &mut (dyn Write + Send),
) -> Result<u64, Error> {
    let backend = ConnectionTrait::get_database_backend(transaction);
    let statement = Statement::from_string(backend, select(table, backend));
    let mut rows = transaction.stream_raw(statement).await?;
    let mut count = 0;
    while let Some(row) = rows.try_next().await? {
        let text: String = row.try_get_by_index(0)?;
        let row =
            serde_json::from_str(&text).map_err(|error| Error::Unavailable(error.to_string()))?;
        let line = Line {
            table: table.name.clone(),
            row,
        };
        let line =
            serde_json::to_string(&line).map_err(|error| Error::Unavailable(error.to_string()))?;
        writeln!(to, "{line}").map_err(|error| Error::Unavailable(error.to_string()))?;
        count += 1;
    }
    Ok(count)
}

impl Store {
    /// Writes every row of one state of the database, and says what those rows need.
    ///
    /// Others go on writing meanwhile; nothing of that is seen.
    pub async fn dump(&self, to: &mut (dyn Write + Send)) -> Result<Dumped, Error> {
        let isolation = self.is_postgres().then_some(IsolationLevel::RepeatableRead);
        let access = self.is_postgres().then_some(AccessMode::ReadOnly);
        let transaction = self.reader.begin_with_config(isolation, access).await?;
        let mut dumped = Dumped {
            migrations: schema::migrations(&transaction).await?,
            ..Dumped::default()
        };
        for table in schema::tables(&transaction).await? {
            let count = write_table(&transaction, &table, to).await?;
            dumped.rows.insert(table.name, count);
        }
        dumped.objects = collector::kept(&transaction).await?.into_iter().collect();
        transaction.rollback().await?;
        Ok(dumped)
    }
}
