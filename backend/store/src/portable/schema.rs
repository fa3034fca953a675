//! What tables and columns a database has.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use crate::Error;

/// Where migrations note themselves.
const MIGRATIONS: &str = "seaql_migrations";

/// What a column holds, in the words of the dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Uuid,
    Boolean,
    /// Whole numbers and texts, which are the same to both databases.
    Plain,
}

/// A table with its columns in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<(String, Kind)>,
}

impl Table {
    /// The column by which rows are read: ids rise with time, so that no row names a later one of its own table.
    pub(super) fn order(&self) -> &str {
        let first = self.columns.iter().find(|(name, _)| name == "id");
        first.or(self.columns.first()).map_or("1", |(name, _)| name)
    }
}

fn kind(declared: &str) -> Result<Kind, Error> {
    match declared.to_ascii_lowercase().as_str() {
        "uuid" => Ok(Kind::Uuid),
        "boolean" => Ok(Kind::Boolean),
        "text" | "bigint" | "integer" => Ok(Kind::Plain),
        other => Err(Error::Unavailable(format!(
            "columns of the type {other} cannot be carried over"
        ))),
    }
}

async fn texts<const N: usize>(
    connection: &impl ConnectionTrait,
    sql: &str,
) -> Result<Vec<[String; N]>, Error> {
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let rows = connection.query_all_raw(statement).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let mut texts = [const { String::new() }; N];
        for (at, text) in texts.iter_mut().enumerate() {
            *text = row.try_get_by_index(at)?;
        }
        found.push(texts);
    }
    Ok(found)
}

const SQLITE_COLUMNS: &str = "\
    SELECT tables.name, columns.name, columns.type FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
    WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY tables.name, columns.cid";
const SQLITE_KEYS: &str = "\
    SELECT tables.name, keys.\"table\" FROM sqlite_schema AS tables, pragma_foreign_key_list(tables.name) AS keys
    WHERE tables.type = 'table'";
const POSTGRES_COLUMNS: &str = "\
    SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns
    WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position";
const POSTGRES_KEYS: &str = "\
    SELECT child.relname::text, parent.relname::text FROM pg_constraint AS keys
    JOIN pg_class AS child ON child.oid = keys.conrelid JOIN pg_class AS parent ON parent.oid = keys.confrelid
    WHERE keys.contype = 'f' AND child.relnamespace = current_schema()::regnamespace";

/// Every table of ours, those first that others name.
pub(super) async fn tables(connection: &impl ConnectionTrait) -> Result<Vec<Table>, Error> {
    let (columns, keys) = match connection.get_database_backend() {
        DbBackend::Postgres => (POSTGRES_COLUMNS, POSTGRES_KEYS),
        _ => (SQLITE_COLUMNS, SQLITE_KEYS),
    };
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    for [name, column, declared] in texts(connection, columns).await? {
        if name == MIGRATIONS {
            continue;
        }
        let table = tables.entry(name.clone()).or_insert_with(|| Table {
            name,
            columns: Vec::new(),
        });
        table.columns.push((column, kind(&declared)?));
    }
    let keys = texts::<2>(connection, keys).await?;
    let mut sorted: Vec<Table> = Vec::with_capacity(tables.len());
    while !tables.is_empty() {
        let free = tables.keys().find(|name| {
            keys.iter().all(|[child, parent]| {
                child != *name || parent == *name || !tables.contains_key(parent)
            })
        });
        let Some(table) = free.cloned().and_then(|name| tables.remove(&name)) else {
            return Err(Error::Unavailable(
                "tables name each other in a circle".into(),
            ));
        };
        sorted.push(table);
    }
    Ok(sorted)
}

/// Names of the migrations that were applied, in order.
pub(super) async fn migrations(connection: &impl ConnectionTrait) -> Result<Vec<String>, Error> {
    let sql = format!("SELECT version FROM {MIGRATIONS} ORDER BY version");
    let rows = texts::<1>(connection, &sql).await?;
    Ok(rows.into_iter().map(|[name]| name).collect())
}
