//! The whole database as text, one row a line: read from one database in one state of it, written into another, of
//! either kind.
//!
//! A line is `{"table":"jobs","row":{"id":"0198c0...","status":"queued",...}}`: UUIDs are 32 hexadecimal digits,
//! booleans are booleans, everything else is a number, a text or null. Tables come in an order in which no row names a
//! later one.

mod dump;
mod load;
mod schema;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a dump holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dumped {
    /// Rows by table.
    pub rows: BTreeMap<String, u64>,
    /// SHA-256 of every object that makes a row what it is; of no upload on its way.
    pub objects: BTreeSet<String>,
    /// Names of the migrations that made the tables, in order.
    pub migrations: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    table: String,
    row: Map<String, Value>,
}
