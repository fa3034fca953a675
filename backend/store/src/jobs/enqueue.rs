//! New jobs: the row and its first event in one transaction.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Statement};
use shared::{
    JobId, OrganisationId, SetId, Timestamp,
    job::{JobKind, JobProgress, JobSpec, JobStatus},
};
use uuid::Uuid;

use super::{
    JobRecord,
    ledger::{ACTIVE, tell_status},
};
use crate::{
    Error, Store,
    audit::{self, Deed},
    database::{insert, new_uuid},
    entity::job,
    organisations, patches,
    sets::ensure_sealed,
    text::{number, to_json, to_name},
    usage::{self, More},
};

/// What a job is made of.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Whose it is.
    pub owner_id: OrganisationId,
    /// What it does.
    pub kind: JobKind,
    /// What it is told.
    pub spec: JobSpec,
    /// What it came from: an evaluation or a study's first job from a protect job, the rest of a study from the first.
    pub parent_id: Option<JobId>,
    /// Higher goes first.
    pub priority: i32,
    /// Memory that its node must have, as far as somebody planned it; else 0.
    pub required_memory_bytes: u64,
    /// The request's key: the same owner and key make one job, whatever happens in between.
    pub idempotency_key: Option<String>,
    /// The span that it is created by, in the form of W3C Trace Context.
    pub traceparent: Option<String>,
}

const WAITS: &str = "Waits for a node.";

impl NewJob {
    /// The set that the row names: that of the attacked concept for an evaluation, else the first.
    fn set(&self) -> Result<SetId, Error> {
        let first = self.spec.concepts.first().ok_or(Error::NoConcept)?;
        let concept = match self.kind {
            JobKind::Evaluate | JobKind::Study => self.spec.attacked(),
            JobKind::Protect | JobKind::Probe => first,
        };
        Ok(concept.protected_set_id)
    }

    fn row(self, now: Timestamp) -> Result<job::Model, Error> {
        Ok(job::Model {
            id: new_uuid(now),
            owner_id: self.owner_id.uuid(),
            set_id: self.set()?.uuid(),
            model_id: self.spec.base_model_id.uuid(),
            parent_id: self.parent_id.map(JobId::uuid),
            idempotency_key: self.idempotency_key,
            kind: to_name("job kind", &self.kind)?,
            status: JobStatus::Queued.as_str().to_owned(),
            status_reason: WAITS.to_owned(),
            spec: to_json("job specification", &self.spec)?,
            priority: self.priority,
            attempts: 0,
            token: 0,
            node_id: None,
            lease_until: None,
            finish_digest: None,
            last_sequence: 0,
            progress: to_json("job progress", &JobProgress::default())?,
            resume_step: None,
            resume_sha256: None,
            resume_size_bytes: None,
            metrics: None,
            failure: None,
            created_at: now.milliseconds(),
            started_at: None,
            completed_at: None,
            required_memory_bytes: number("memory size", self.required_memory_bytes)?,
            traceparent: self.traceparent,
        })
    }
}

/// Inserts a queued job with its first event.
pub(super) async fn insert_job(
    connection: &impl ConnectionTrait,
    new: NewJob,
    now: Timestamp,
) -> Result<job::Model, Error> {
    let mut row = new.row(now)?;
    let with_event = job::Model {
        last_sequence: 1,
        ..row.clone()
    };
    insert(connection, with_event).await?;
    tell_status(connection, &mut row, now).await?;
    let owner = OrganisationId::from_uuid(row.owner_id);
    let deed = Deed::new("job.created", JobId::from_uuid(row.id)).detail(row.kind.clone());
    audit::record(connection, owner, deed, now).await?;
    Ok(row)
}

/// So many jobs of one study count as one against an account's limit: a study on many devices must not keep its owner
/// from everything else, and cells that are retried again and again must not pass the limit.
const STUDY_JOBS: u64 = 16;

/// Jobs of an owner that wait or run, those of each study apart.
async fn count(connection: &impl ConnectionTrait, owner: OrganisationId) -> Result<u64, Error> {
    let active = ACTIVE.map(|status| format!("'{status}'")).join(", ");
    let sql = format!(
        "SELECT plan.id AS study, COUNT(*) AS jobs FROM jobs AS active
        LEFT JOIN jobs AS plan ON plan.id = active.parent_id AND plan.kind = 'study'
        WHERE active.owner_id = $1 AND active.status IN ({active})
        GROUP BY plan.id"
    );
    let backend = connection.get_database_backend();
    let statement = Statement::from_sql_and_values(backend, sql, [owner.uuid().into()]);
    let mut count = 0;
    for row in connection.query_all_raw(statement).await? {
        let study: Option<Uuid> = row.try_get("", "study")?;
        let jobs: u64 = number("job count", row.try_get::<i64>("", "jobs")?)?;
        count += match study {
            Some(_) => jobs.div_ceil(STUDY_JOBS),
            None => jobs,
        };
    }
    Ok(count)
}

/// The job that this owner's key made before.
async fn find_by_key(
    connection: &impl ConnectionTrait,
    owner: OrganisationId,
    key: Option<&str>,
) -> Result<Option<job::Model>, Error> {
    let Some(key) = key else {
        return Ok(None);
    };
    Ok(job::Entity::find()
        .filter(job::Column::OwnerId.eq(owner.uuid()))
        .filter(job::Column::IdempotencyKey.eq(key))
        .one(connection)
        .await?)
}

impl Store {
    /// Queues a job, or answers the one that the same idempotency key made before.
    ///
    /// [`Error::SetNotSealed`] for a set that is missing, another's or a draft, [`Error::PatchMissing`];
    /// [`Error::TooManyJobs`] and [`Error::StorageFull`] at the account's limits.
    pub async fn enqueue_job(&self, new: NewJob, now: Timestamp) -> Result<JobRecord, Error> {
        let owner = new.owner_id;
        let transaction = self.begin().await?;
        // One enqueue of an account at a time: the limit and the key hold under concurrency.
        organisations::lock(&transaction, owner).await?;
        let key = new.idempotency_key.as_deref();
        if let Some(row) = find_by_key(&transaction, owner, key).await? {
            transaction.rollback().await?;
            return row.try_into();
        }
        for concept in &new.spec.concepts {
            ensure_sealed(&transaction, owner, concept.protected_set_id).await?;
        }
        let study = new.spec.evaluation.study.iter();
        for control in study.flat_map(|order| &order.request.controls) {
            ensure_sealed(&transaction, owner, control.protected_set_id).await?;
        }
        patches::ensure_known(&transaction, owner, &new.spec).await?;
        let active = count(&transaction, owner).await?;
        if active >= self.limits.active_jobs {
            return Err(Error::TooManyJobs { active });
        }
        usage::ensure_room(&transaction, owner, self.limits, More::bytes(0, now)).await?;
        let row = insert_job(&transaction, new, now).await?;
        transaction.commit().await?;
        row.try_into()
    }

    /// How many jobs of this owner wait or run, as they count against its limit.
    pub async fn count_active(&self, owner: OrganisationId) -> Result<u64, Error> {
        count(&self.reader, owner).await
    }
}
