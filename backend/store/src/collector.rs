//! What must not be thrown away: every hash that a row still needs.

use std::collections::HashSet;

use sea_orm::{ConnectionTrait, Statement};

use crate::{Error, Store};

/// Objects that rows need to be what they are; the state to resume from until the job ends.
const KEPT: &str = "\
    SELECT sha256 FROM base_model_files
    UNION SELECT COALESCE(stored_sha256, content_sha256) FROM images
    UNION SELECT thumbnail_sha256 FROM images WHERE thumbnail_sha256 IS NOT NULL
    UNION SELECT sha256 FROM artifacts
    UNION SELECT sha256 FROM patches
    UNION SELECT sha256 FROM model_import_files WHERE stored
    UNION SELECT resume_sha256 FROM jobs WHERE resume_sha256 IS NOT NULL
        AND status NOT IN ('succeeded', 'failed', 'canceled')";

/// Uploads are kept while they may still be completed.
const WAITING: &str = " UNION SELECT sha256 FROM uploads WHERE status <> 'completed'";

/// SHA-256 of every object that makes the rows what they are, as this connection sees them; of no upload on its way.
pub(crate) async fn kept(connection: &impl ConnectionTrait) -> Result<HashSet<String>, Error> {
    hashes(connection, KEPT).await
}

async fn hashes(connection: &impl ConnectionTrait, sql: &str) -> Result<HashSet<String>, Error> {
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let rows = connection.query_all_raw(statement).await?;
    rows.iter()
        .map(|row| Ok(row.try_get_by_index(0)?))
        .collect()
}

impl Store {
    /// SHA-256 of every object that some row needs.
    ///
    /// A node uploads outputs before a row names them, so a collector must also spare objects that
    /// are younger than the longest job.
    pub async fn referenced_hashes(&self) -> Result<HashSet<String>, Error> {
        hashes(&self.reader, &[KEPT, WAITING].concat()).await
    }
}
