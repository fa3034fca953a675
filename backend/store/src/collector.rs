//! What must not be thrown away: every hash that a row still needs.

use std::collections::HashSet;

use sea_orm::{ConnectionTrait, Statement};

use crate::{Error, Store};

/// Uploads are kept while they may still be completed; the state to resume from until the job ends.
const REFERENCED: &str = "\
    SELECT sha256 FROM base_model_files
    UNION SELECT content_sha256 FROM images
    UNION SELECT sha256 FROM artifacts
    UNION SELECT sha256 FROM patches
    UNION SELECT sha256 FROM model_import_files WHERE stored
    UNION SELECT sha256 FROM uploads WHERE status <> 'completed'
    UNION SELECT resume_sha256 FROM jobs WHERE resume_sha256 IS NOT NULL
        AND status NOT IN ('succeeded', 'failed', 'canceled')";

impl Store {
    /// SHA-256 of every object that some row needs.
    ///
    /// A node uploads outputs before a row names them, so a collector must also spare objects that
    /// are younger than the longest job.
    pub async fn referenced_hashes(&self) -> Result<HashSet<String>, Error> {
        let statement = Statement::from_string(self.reader.get_database_backend(), REFERENCED);
        let rows = self.reader.query_all_raw(statement).await?;
        rows.iter()
            .map(|row| Ok(row.try_get_by_index(0)?))
            .collect()
    }
}
