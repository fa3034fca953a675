//! What an organisation uses, and the limits that an instance sets.

use sea_orm::{ConnectionTrait, Statement};
use shared::{OrganisationId, Timestamp, limits::MAX_ACTIVE_JOBS};
use uuid::Uuid;

use crate::{Error, Store, text::number};

/// Limits that an instance sets for every organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Jobs that wait or run at once.
    pub active_jobs: u64,
    /// Bytes in the artifact store; `None`: as many as it holds.
    pub storage_bytes: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            active_jobs: MAX_ACTIVE_JOBS as u64,
            storage_bytes: None,
        }
    }
}

/// What an organisation uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Jobs that wait or run.
    pub active_jobs: u64,
    /// Bytes of pictures, patches, imported models and results, as their rows tell them, and of what was announced.
    pub storage_bytes: u64,
    /// Patches.
    pub patches: u64,
    /// API keys that were not revoked.
    pub api_keys: u64,
    /// Members.
    pub members: u64,
    /// Imported base models.
    pub imported_models: u64,
    /// Imports that are not ready.
    pub open_imports: u64,
}

/// PostgreSQL sums to numbers of any size.
const STORAGE: &str = "\
    CAST(COALESCE((SELECT SUM(content_size_bytes) FROM images WHERE owner_id = $1), 0)
    + COALESCE((SELECT SUM(size_bytes) FROM patches WHERE owner_id = $1), 0)
    + COALESCE((SELECT SUM(size_bytes) FROM artifacts WHERE owner_id = $1), 0)
    + COALESCE((SELECT SUM(files.size_bytes) FROM base_model_files AS files
        JOIN base_models AS models ON models.id = files.model_id WHERE models.owner_id = $1), 0) AS BIGINT)";

/// What may still come: uploads that can be completed but for one file, and the files of imports that are not ready.
///
/// A file that was announced again for the same set is one picture, whichever announcement brings it; one that is in the
/// set needs no room any more, and a sealed set takes none.
const ANNOUNCED: &str = "\
    CAST(COALESCE((SELECT SUM(files.largest) FROM (SELECT MAX(size_bytes) AS largest FROM uploads
        WHERE status IN ('pending', 'received') AND expires_at > $2 AND owner_id = $1
            AND NOT (set_id = $3 AND sha256 = $4)
            AND set_id IN (SELECT id FROM protected_sets WHERE owner_id = $1 AND status = 'draft')
            AND NOT EXISTS (SELECT 1 FROM images
                WHERE images.set_id = uploads.set_id AND images.sha256 = uploads.sha256)
            AND NOT EXISTS (SELECT 1 FROM uploads AS done WHERE done.set_id = uploads.set_id
                AND done.sha256 = uploads.sha256 AND done.status = 'completed' AND done.created_at >= uploads.created_at)
            GROUP BY set_id, sha256) AS files), 0)
    + COALESCE((SELECT SUM(files.size_bytes) FROM model_import_files AS files
        JOIN model_imports AS imports ON imports.id = files.import_id
        WHERE imports.owner_id = $1 AND imports.status <> 'ready'), 0) AS BIGINT)";

const COUNTS: &str = "\
    (SELECT COUNT(*) FROM jobs WHERE owner_id = $1 AND status IN ('queued', 'starting', 'running', 'canceling')),
    (SELECT COUNT(*) FROM patches WHERE owner_id = $1),
    (SELECT COUNT(*) FROM api_keys WHERE organisation_id = $1 AND revoked_at IS NULL),
    (SELECT COUNT(*) FROM memberships WHERE organisation_id = $1),
    (SELECT COUNT(*) FROM base_models WHERE owner_id = $1),
    (SELECT COUNT(*) FROM model_imports WHERE owner_id = $1 AND status <> 'ready')";

/// What shall be kept now, or is announced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct More<'a> {
    /// Its size.
    pub(crate) bytes: u64,
    /// Set and SHA-256 of the announced upload that it comes from, which needs no room beside it.
    pub(crate) instead_of: Option<(Uuid, &'a str)>,
    /// The present moment: uploads that expired need no room.
    pub(crate) now: Timestamp,
}

impl More<'_> {
    /// So many bytes that nobody announced.
    pub(crate) const fn bytes(bytes: u64, now: Timestamp) -> Self {
        Self {
            bytes,
            instead_of: None,
            now,
        }
    }
}

/// Refuses what would take an organisation, with everything that it announced, above its limit of storage.
///
/// The caller has locked the organisation: two requests count one after another.
pub(crate) async fn ensure_room(
    connection: &impl ConnectionTrait,
    owner: OrganisationId,
    limits: Limits,
    more: More<'_>,
) -> Result<(), Error> {
    let Some(limit) = limits.storage_bytes else {
        return Ok(());
    };
    let (set, sha256) = more.instead_of.unwrap_or_default();
    let statement = Statement::from_sql_and_values(
        connection.get_database_backend(),
        format!("SELECT {STORAGE} + {ANNOUNCED}"),
        [
            owner.uuid().into(),
            more.now.milliseconds().into(),
            set.into(),
            sha256.into(),
        ],
    );
    let row = connection.query_one_raw(statement).await?;
    let used: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    let used: u64 = number("used storage", used)?;
    if used.saturating_add(more.bytes) > limit {
        return Err(Error::StorageFull { used, limit });
    }
    Ok(())
}

impl Store {
    /// The same database under other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The limits that this instance sets.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// What an organisation uses now.
    pub async fn usage(&self, owner: OrganisationId, now: Timestamp) -> Result<Usage, Error> {
        let statement = Statement::from_sql_and_values(
            self.reader.get_database_backend(),
            format!("SELECT {STORAGE} + {ANNOUNCED}, {COUNTS}"),
            [
                owner.uuid().into(),
                now.milliseconds().into(),
                Uuid::nil().into(),
                "".into(),
            ],
        );
        let Some(row) = self.reader.query_one_raw(statement).await? else {
            return Ok(Usage::default());
        };
        let at = |index: usize| -> Result<u64, Error> {
            number("usage", row.try_get_by_index::<i64>(index)?)
        };
        Ok(Usage {
            storage_bytes: at(0)?,
            active_jobs: at(1)?,
            patches: at(2)?,
            api_keys: at(3)?,
            members: at(4)?,
            imported_models: at(5)?,
            open_imports: at(6)?,
        })
    }
}
