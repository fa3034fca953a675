//! Claims: one queued job to one node, by one statement.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect,
    Statement, Value,
};
use shared::{NodeId, Timestamp, job::JobStatus};
use uuid::Uuid;

use super::{JobRecord, attempts::begin, ledger::tell_status};
use crate::{Error, Store, entity::job, text::number};

/// How long a job waits before jobs that need less memory no longer take what it waits for.
const PATIENCE_MILLISECONDS: i64 = 10 * 60_000;

/// Which device of which node asks for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimant<'a> {
    /// The node, made known by `touch_node`.
    pub node: NodeId,
    /// What it calls the device, if it does.
    pub device: Option<&'a str>,
    /// Memory of the device.
    pub memory_bytes: u64,
    /// What of it the jobs that run there leave.
    pub free_memory_bytes: u64,
}

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
    WHERE candidate.status = 'queued' AND candidate.required_memory_bytes <= $3";

/// Where jobs share a device: none of them while one waits too long that needs more of it than they leave. Without this
/// small jobs that follow each other would keep a large one waiting for ever.
const PATIENT: &str = "\
    AND NOT EXISTS (SELECT 1 FROM jobs AS patient
        JOIN nodes AS host ON host.id = $1
        JOIN base_models AS wanted ON wanted.id = patient.model_id
            AND (host.families IS NULL OR host.families LIKE '%\"' || wanted.family || '\"%')
        WHERE patient.status = 'queued' AND patient.created_at < $4
            AND patient.required_memory_bytes > $3 AND patient.required_memory_bytes <= $5)";

const ORDER: &str = "\
    ORDER BY COALESCE(busy.held, 0), candidate.priority DESC, candidate.created_at, candidate.id
    LIMIT 1";

/// Numbered parameters mean the same to both databases.
fn claim_sql(is_postgres: bool, is_shared: bool) -> String {
    let patient = if is_shared { PATIENT } else { "" };
    let lock = if is_postgres {
        "FOR UPDATE OF candidate SKIP LOCKED"
    } else {
        "" // the transaction holds SQLite's only write lock already
    };
    format!(
        "UPDATE jobs SET status = 'starting', status_reason = 'A node fetches the inputs.',
            token = token + 1, attempts = attempts + 1, node_id = $1, lease_until = $2,
            finish_digest = NULL, last_sequence = last_sequence + 1
        WHERE id = ({FAIR} {patient} {ORDER} {lock}) AND status = 'queued'
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

    /// Lends the next job to a node's device; `None` when nothing waits that it has room for.
    pub async fn claim_job(
        &self,
        claimant: Claimant<'_>,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<ClaimedJob>, Error> {
        let node = claimant.node;
        let memory: i64 = number("memory size", claimant.memory_bytes)?;
        let free: i64 = number("memory size", claimant.free_memory_bytes)?;
        let is_shared = free < memory;
        let mut values: Vec<Value> = vec![
            node.uuid().into(),
            lease_until.milliseconds().into(),
            free.into(),
        ];
        if is_shared {
            let waiting_since = now.milliseconds() - PATIENCE_MILLISECONDS;
            values.extend([waiting_since.into(), memory.into()]);
        }
        let transaction = self.begin().await?;
        let statement = Statement::from_sql_and_values(
            transaction.get_database_backend(),
            claim_sql(self.is_postgres(), is_shared),
            values,
        );
        let Some(found) = transaction.query_one_raw(statement).await? else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let mut row = job::Model::from_query_result(&found, "")?;
        begin(&transaction, &row, claimant, now).await?;
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
