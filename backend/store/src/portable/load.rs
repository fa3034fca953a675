//! Rows of a dump into a database that has none.

use std::{collections::BTreeMap, io::BufRead};

use sea_orm::{ConnectionTrait, DbBackend, Statement, Value as Bound};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Line,
    schema::{self, Kind, Table},
};
use crate::{Error, Store, writer::Transaction};

/// Longest row: a gallery with thousands of pictures takes a few megabytes.
const MAX_LINE: u64 = 256 << 20;

fn bad(what: impl std::fmt::Display) -> Error {
    Error::BadDump(what.to_string())
}

fn bound(value: &Value, kind: Kind, column: &str) -> Result<Bound, Error> {
    let wrong = || bad(format!("the column {column} cannot hold {value}"));
    Ok(match (value, kind) {
        (Value::String(text), Kind::Uuid) => Uuid::try_parse(text).map_err(|_| wrong())?.into(),
        (Value::Bool(value), Kind::Boolean) => (*value).into(),
        (Value::String(text), Kind::Plain) => text.clone().into(),
        (Value::Number(number), Kind::Plain) => number.as_i64().ok_or_else(wrong)?.into(),
        _ => return Err(wrong()),
    })
}

/// Inserts one row; columns that hold nothing are left out.
async fn insert(transaction: &Transaction, table: &Table, line: Line) -> Result<(), Error> {
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for (column, value) in &line.row {
        let known = table.columns.iter().find(|(name, _)| name == column);
        let (name, kind) =
            known.ok_or_else(|| bad(format!("the table {} has no column {column}", table.name)))?;
        if !value.is_null() {
            names.push(format!("\"{name}\""));
            values.push(bound(value, *kind, name)?);
        }
    }
    let places: Vec<String> = (1..=values.len())
        .map(|number| format!("${number}"))
        .collect();
    let sql = format!(
        "INSERT INTO \"{}\" ({}) VALUES ({})",
        table.name,
        names.join(", "),
        places.join(", ")
    );
    let backend = transaction.get_database_backend();
    let statement = Statement::from_sql_and_values(backend, sql, values);
    transaction.execute_raw(statement).await?;
    Ok(())
}

fn read_line(from: &mut dyn BufRead) -> Result<Option<Line>, Error> {
    let mut text = String::new();
    let mut limited = std::io::Read::take(from, MAX_LINE);
    if limited.read_line(&mut text).map_err(bad)? == 0 {
        return Ok(None);
    }
    if !text.ends_with('\n') {
        return Err(bad("a line is cut off, or longer than any row"));
    }
    serde_json::from_str(&text).map(Some).map_err(bad)
}

impl Store {
    /// Whether nobody ever used this database.
    pub async fn is_empty(&self) -> Result<bool, Error> {
        for table in schema::tables(&self.reader).await? {
            let sql = format!("SELECT 1 FROM \"{}\" LIMIT 1", table.name);
            let statement = Statement::from_string(self.reader.get_database_backend(), sql);
            if self.reader.query_one_raw(statement).await?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Names of the migrations that made these tables, in order.
    pub async fn migrations(&self) -> Result<Vec<String>, Error> {
        schema::migrations(&self.reader).await
    }

    /// Writes the rows of a dump, all or none; how many there were by table.
    ///
    /// [`Error::BadDump`], also where there are rows already.
    pub async fn load(
        &self,
        from: &mut (dyn BufRead + Send),
    ) -> Result<BTreeMap<String, u64>, Error> {
        if !self.is_empty().await? {
            return Err(bad("there are rows already where it shall be written"));
        }
        let tables = schema::tables(&self.reader).await?;
        let transaction = self.begin().await?;
        if transaction.get_database_backend() == DbBackend::Sqlite {
            // Checked when everything is there.
            let defer = "PRAGMA defer_foreign_keys = ON";
            transaction.execute_unprepared(defer).await?;
        }
        let mut rows: BTreeMap<String, u64> = BTreeMap::new();
        for table in &tables {
            rows.insert(table.name.clone(), 0);
        }
        while let Some(line) = read_line(from)? {
            let table = tables.iter().find(|table| table.name == line.table);
            let table = table.ok_or_else(|| bad(format!("there is no table {}", line.table)))?;
            insert(&transaction, table, line).await?;
            *rows.entry(table.name.clone()).or_default() += 1;
        }
        transaction.commit().await?;
        Ok(rows)
    }
}
