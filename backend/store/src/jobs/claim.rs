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

/// Where jobs share a device: none of them while one waits too long that needs more of it than they leave. Without this
/// small jobs that follow each other would keep a large one waiting for ever.
const PATIENT: &str = "\
    AND NOT EXISTS (SELECT 1 FROM jobs AS patient
        JOIN nodes AS host ON host.id = $1
        JOIN base_models AS wanted ON wanted.id = patient.model_id
            AND (host.families IS NULL OR host.families LIKE '%\"' || wanted.family || '\"%')
        WHERE patient.status = 'queued' AND patient.created_at < $4
            AND patient.required_memory_bytes > $3 AND patient.required_memory_bytes <= $5)";

/// Whose jobs run least goes first, then priority, then age.
const FAIR: &str = "\
    FROM heads JOIN jobs AS head ON head.id = heads.id
    ORDER BY heads.held, head.priority DESC, head.created_at, head.id";

/// The next job of one account among what this node takes, trains and has memory for: priority, then age. What a node
/// cannot train it never sees: those jobs wait for another one.
fn next_of(owner: &str, is_shared: bool) -> String {
    let patient = if is_shared { PATIENT } else { "" };
    format!(
        "SELECT candidate.id FROM jobs AS candidate
        WHERE candidate.status = 'queued' AND candidate.owner_id = {owner} AND candidate.required_memory_bytes <= $3
            AND EXISTS (SELECT 1 FROM nodes AS node JOIN base_models AS model ON model.id = candidate.model_id
                AND (node.families IS NULL OR node.families LIKE '%\"' || model.family || '\"%')
                WHERE node.id = $1 AND node.intake = 'open' AND node.revoked_at IS NULL)
            {patient}
        ORDER BY candidate.priority DESC, candidate.created_at, candidate.id LIMIT 1"
    )
}

/// Every account that has queued jobs, one step in the index each; then its next job, and how many of its jobs nodes hold.
fn heads(is_shared: bool) -> String {
    let next = next_of("owners.owner_id", is_shared);
    format!(
        "WITH RECURSIVE owners (owner_id) AS (
            SELECT (SELECT lowest.owner_id FROM jobs AS lowest WHERE lowest.status = 'queued'
                ORDER BY lowest.owner_id LIMIT 1)
            UNION ALL
            SELECT (SELECT higher.owner_id FROM jobs AS higher
                WHERE higher.status = 'queued' AND higher.owner_id > owners.owner_id ORDER BY higher.owner_id LIMIT 1)
            FROM owners WHERE owners.owner_id IS NOT NULL),
        heads AS (SELECT owners.owner_id,
                (SELECT COUNT(*) FROM jobs AS busy WHERE busy.owner_id = owners.owner_id
                    AND busy.status IN ('starting', 'running', 'canceling')) AS held,
                ({next}) AS id
            FROM owners WHERE owners.owner_id IS NOT NULL)"
    )
}

/// Numbered parameters mean the same to both databases.
///
/// `PostgreSQL` locks one job and no head of another account, which claims at the same time would then pass over: accounts
/// in their order, and of the first that has one, the next job that nobody locked.
fn claim_sql(is_postgres: bool, is_shared: bool) -> String {
    let heads = heads(is_shared);
    let chosen = if is_postgres {
        let next = next_of("ranked.owner_id", is_shared);
        format!(
            "SELECT taken.id FROM (SELECT heads.owner_id {FAIR}) AS ranked
            CROSS JOIN LATERAL ({next} FOR UPDATE OF candidate SKIP LOCKED) AS taken LIMIT 1"
        )
    } else {
        // The transaction holds the only write lock already.
        format!("SELECT head.id {FAIR} LIMIT 1")
    };
    format!(
        "{heads}
        UPDATE jobs SET status = 'starting', status_reason = 'A node fetches the inputs.',
            token = token + 1, attempts = attempts + 1, node_id = $1, lease_until = $2,
            finish_digest = NULL, last_sequence = last_sequence + 1
        WHERE id = ({chosen}) AND status = 'queued'
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};

    use super::claim_sql;

    #[tokio::test]
    async fn sqlite_reads_the_queue_by_its_index_and_sorts_accounts_alone() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("x.sqlite").display());
        migrations::migrate(&url).await.unwrap();
        let connection = Box::pin(Database::connect(&url)).await.unwrap();
        let sql = format!("EXPLAIN QUERY PLAN {}", claim_sql(false, false));
        let asked = Statement::from_string(DbBackend::Sqlite, sql);
        let rows = connection.query_all_raw(asked).await.unwrap();
        let steps: HashSet<String> = rows
            .iter()
            .map(|row| row.try_get("", "detail").unwrap())
            .collect();
        for due in [
            "SEARCH higher USING COVERING INDEX jobs_queue (status=? AND owner_id>?)",
            "SEARCH candidate USING INDEX jobs_queue (status=? AND owner_id=?)",
            "SEARCH busy USING COVERING INDEX jobs_owner_status (owner_id=? AND status=?)",
        ] {
            assert!(steps.contains(due), "{due}: {steps:#?}");
        }
        let mut scans = steps.iter().filter_map(|step| step.strip_prefix("SCAN "));
        assert!(
            scans.all(|what| ["owners", "CONSTANT ROW"].contains(&what)),
            "{steps:#?}"
        );
    }
}
