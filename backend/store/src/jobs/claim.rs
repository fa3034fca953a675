//! Claims: one queued job to one node, by one statement.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, Statement,
};
use shared::{NodeId, Timestamp, job::JobStatus};
use uuid::Uuid;

use super::{JobRecord, attempts::begin, ledger::tell_status};
use crate::{Error, Store, entity::job};

/// A job and the token that holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimedJob {
    /// The job, starting.
    pub job: JobRecord,
    /// The fencing token of this attempt.
    pub token: i64,
}

/// Whose jobs run least goes first, then priority, then age; only what this node takes, trains and has memory for. What
/// a node cannot train it never sees: those jobs wait for another one.
const FAIR: &str = "\
    SELECT candidate.id FROM jobs AS candidate
    JOIN nodes AS node ON node.id = $1 AND node.intake = 'open' AND node.revoked_at IS NULL
    JOIN base_models AS model ON model.id = candidate.model_id
        AND (node.families IS NULL OR node.families LIKE '%\"' || model.family || '\"%')
    LEFT JOIN (SELECT owner_id, COUNT(*) AS held FROM jobs
        WHERE status IN ('starting', 'running', 'canceling') GROUP BY owner_id) AS busy
        ON busy.owner_id = candidate.owner_id
    WHERE candidate.status = 'queued' AND candidate.required_memory_bytes <= node.memory_bytes
    ORDER BY COALESCE(busy.held, 0), candidate.priority DESC, candidate.created_at, candidate.id
    LIMIT 1";

/// Numbered parameters mean the same to both databases.
fn claim_sql(is_postgres: bool) -> String {
    let lock = if is_postgres {
        "FOR UPDATE OF candidate SKIP LOCKED"
    } else {
        "" // the transaction holds SQLite's only write lock already
    };
    format!(
        "UPDATE jobs SET status = 'starting', status_reason = 'A node fetches the inputs.',
            token = token + 1, attempts = attempts + 1, node_id = $1, lease_until = $2,
            finish_digest = NULL, last_sequence = last_sequence + 1
        WHERE id = ({FAIR} {lock}) AND status = 'queued'
        RETURNING *"
    )
}

impl Store {
    /// Whether some job waits; asking takes no write lock.
    pub async fn has_queued_jobs_any(&self) -> Result<bool, Error> {
        let queued = job::Entity::find()
            .select_only()
            .column(job::Column::Id)
            .filter(job::Column::Status.eq(JobStatus::Queued.as_str()))
            .into_tuple::<Uuid>()
            .one(&self.reader)
            .await?;
        Ok(queued.is_some())
    }

    /// What waits, in numbers that change whenever a job comes to wait or waits no more; `None` where nothing does.
    pub async fn queue_mark_any(&self) -> Result<Option<(i64, i64)>, Error> {
        let sql = "SELECT COUNT(*) AS jobs, CAST(COALESCE(SUM(last_sequence + created_at), 0) AS BIGINT) AS told
            FROM jobs WHERE status = 'queued'";
        let statement = Statement::from_string(self.reader.get_database_backend(), sql);
        let Some(row) = self.reader.query_one_raw(statement).await? else {
            return Ok(None);
        };
        let jobs: i64 = row.try_get("", "jobs")?;
        Ok((jobs > 0).then_some((jobs, row.try_get("", "told")?)))
    }

    /// Lends the next job to a node that `touch_node` made known; `None` when nothing waits.
    pub async fn claim_job(
        &self,
        node: NodeId,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<ClaimedJob>, Error> {
        let transaction = self.begin().await?;
        let statement = Statement::from_sql_and_values(
            transaction.get_database_backend(),
            claim_sql(self.is_postgres()),
            [node.uuid().into(), lease_until.milliseconds().into()],
        );
        let Some(found) = transaction.query_one_raw(statement).await? else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let mut row = job::Model::from_query_result(&found, "")?;
        begin(&transaction, &row, node, now).await?;
        row.last_sequence -= 1; // counted by the statement, so that no second write is needed
        tell_status(&transaction, &mut row, now).await?;
        transaction.commit().await?;
        let token = row.token;
        Ok(Some(ClaimedJob {
            job: row.try_into()?,
            token,
        }))
    }
}
