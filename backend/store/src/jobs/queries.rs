//! Looking jobs up.

use std::collections::{BTreeMap, HashMap};

use sea_orm::{
    ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};
use shared::{
    GalleryId, JobId, ModelId, OrganisationId, SetId, Timestamp,
    job::{JobKind, JobMetrics, JobSpec, JobStatus},
    progress::JobEvent,
};
use uuid::Uuid;

use super::{JobRecord, ledger::ACTIVE};
use crate::{
    Error, Store,
    database::page,
    entity::{gallery, job, job_event},
    text::{from_json, number, to_name},
};

/// Which probes are asked for.
#[derive(Clone, Copy, Debug)]
pub struct ProbesOf {
    /// The base model.
    pub model: ModelId,
    /// The set of the first concept.
    pub set: SetId,
    /// Those that wait or run; else those that ended well.
    pub active: bool,
}

fn owned(owner: OrganisationId) -> sea_orm::Select<job::Entity> {
    job::Entity::find().filter(job::Column::OwnerId.eq(owner.uuid()))
}

impl Store {
    /// The owner's jobs, newest first, from below `after`.
    pub async fn list_jobs(
        &self,
        owner: OrganisationId,
        after: Option<JobId>,
        limit: u64,
    ) -> Result<Vec<JobRecord>, Error> {
        let query = owned(owner);
        let rows = page(query, job::Column::Id, after.map(JobId::uuid), limit)
            .all(&self.reader)
            .await?;
        let jobs: Result<Vec<_>, _> = rows.into_iter().map(JobRecord::try_from).collect();
        self.link_all(jobs?).await
    }

    /// Finds a job of this owner.
    pub async fn find_job(
        &self,
        owner: OrganisationId,
        id: JobId,
    ) -> Result<Option<JobRecord>, Error> {
        let row = owned(owner)
            .filter(job::Column::Id.eq(id.uuid()))
            .one(&self.reader)
            .await?;
        match row {
            Some(row) => self.link(row.try_into()?).await.map(Some),
            None => Ok(None),
        }
    }

    /// The owner's probes of this kind, newest first, from below `after`.
    pub async fn list_probes(
        &self,
        owner: OrganisationId,
        which: ProbesOf,
        after: Option<JobId>,
        limit: u64,
    ) -> Result<Vec<JobRecord>, Error> {
        let succeeded = job::Column::Status.eq(JobStatus::Succeeded.as_str());
        let query = owned(owner)
            // Written out: SQLite takes an index of some rows for no value that is bound.
            .filter(Expr::cust("jobs.kind = 'probe'"))
            .filter(job::Column::ModelId.eq(which.model.uuid()))
            .filter(job::Column::SetId.eq(which.set.uuid()))
            .filter(if which.active {
                job::Column::Status.is_in(ACTIVE)
            } else {
                succeeded
            });
        let rows = page(query, job::Column::Id, after.map(JobId::uuid), limit)
            .all(&self.reader)
            .await?;
        rows.into_iter().map(JobRecord::try_from).collect()
    }

    /// Finds anybody's job; for nodes, which prove themselves by the token.
    pub async fn find_job_any(&self, id: JobId) -> Result<Option<JobRecord>, Error> {
        job::Entity::find_by_id(id.uuid())
            .one(&self.reader)
            .await?
            .map(JobRecord::try_from)
            .transpose()
    }

    /// How many jobs wait before this one by priority and age; `None` when it does not wait.
    ///
    /// Fair share can let a job of an idle account pass.
    pub async fn queue_position(&self, of: &JobRecord) -> Result<Option<u32>, Error> {
        if of.status != JobStatus::Queued {
            return Ok(None);
        }
        let queued = job::Column::Status.eq(JobStatus::Queued.as_str());
        let (created_at, id) = (of.created_at.milliseconds(), of.id.uuid());
        let same_age = Condition::all()
            .add(job::Column::CreatedAt.eq(created_at))
            .add(job::Column::Id.lt(id));
        let older = Condition::any()
            .add(job::Column::CreatedAt.lt(created_at))
            .add(same_age);
        let ahead = Condition::any()
            .add(job::Column::Priority.gt(of.priority))
            .add(
                Condition::all()
                    .add(job::Column::Priority.eq(of.priority))
                    .add(older),
            );
        let count = job::Entity::find()
            .filter(queued)
            .filter(ahead)
            .count(&self.reader)
            .await?;
        number("queue position", count).map(Some)
    }

    /// Events of a job of this owner with a number above `after`, in order.
    pub async fn list_events(
        &self,
        owner: OrganisationId,
        id: JobId,
        after: i64,
        limit: u64,
    ) -> Result<Vec<JobEvent>, Error> {
        let mine = owned(owner)
            .filter(job::Column::Id.eq(id.uuid()))
            .count(&self.reader)
            .await?;
        if mine == 0 {
            return Ok(Vec::new());
        }
        job_event::Entity::find()
            .filter(job_event::Column::JobId.eq(id.uuid()))
            .filter(job_event::Column::Sequence.gt(after))
            .order_by_asc(job_event::Column::Sequence)
            .limit(limit)
            .all(&self.reader)
            .await?
            .into_iter()
            .map(|row| {
                Ok(JobEvent {
                    sequence: row.sequence,
                    at: Timestamp::from_milliseconds(row.at),
                    event: from_json("job event", &row.body)?,
                })
            })
            .collect()
    }

    /// What the latest successful jobs of a kind measured, newest first: the ground of estimates.
    pub async fn latest_metrics(
        &self,
        kind: JobKind,
        limit: u64,
    ) -> Result<Vec<(JobSpec, JobMetrics)>, Error> {
        job::Entity::find()
            .filter(job::Column::Kind.eq(to_name("job kind", &kind)?))
            // Written out, as above.
            .filter(Expr::cust("jobs.status = 'succeeded'"))
            .order_by_desc(job::Column::CompletedAt)
            .limit(limit)
            .all(&self.reader)
            .await?
            .into_iter()
            .filter_map(|row| row.metrics.map(|metrics| (row.spec, metrics)))
            .map(|(spec, metrics)| {
                Ok((
                    from_json("job specification", &spec)?,
                    from_json("job metrics", &metrics)?,
                ))
            })
            .collect()
    }

    pub(super) async fn link(&self, job: JobRecord) -> Result<JobRecord, Error> {
        let id = job.id;
        let linked = self.link_all(vec![job]).await?;
        linked.into_iter().next().ok_or_else(|| Error::Corrupt {
            what: "job",
            detail: id.to_string(),
        })
    }

    /// Fills in where each job runs, and its evaluations and gallery, by two queries for each of the two.
    ///
    /// The latter come with a success or after it: jobs that did not succeed have none, and cost none.
    async fn link_all(&self, mut jobs: Vec<JobRecord>) -> Result<Vec<JobRecord>, Error> {
        self.place_all(&mut jobs).await?;
        let succeeded = jobs.iter().filter(|job| job.status == JobStatus::Succeeded);
        let ids: Vec<Uuid> = succeeded.map(|job| job.id.uuid()).collect();
        if ids.is_empty() {
            return Ok(jobs);
        }
        let mut evaluations = self.evaluations(&ids).await?;
        let galleries = self.galleries(&ids).await?;
        for job in &mut jobs {
            let id = job.id.uuid();
            job.evaluation_ids = evaluations.remove(&id).unwrap_or_default();
            let evaluations = job.evaluation_ids.iter().map(|id| id.uuid());
            let gallery = evaluations.chain([id]).find_map(|id| galleries.get(&id));
            job.gallery_id = gallery.copied().map(GalleryId::from_uuid);
        }
        Ok(jobs)
    }

    /// The newest evaluation of each concept of each protect job, in the concepts' order.
    async fn evaluations(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Vec<JobId>>, Error> {
        let rows: Vec<(Option<Uuid>, Uuid, String)> = job::Entity::find()
            .select_only()
            .columns([job::Column::ParentId, job::Column::Id, job::Column::Spec])
            .filter(job::Column::ParentId.is_in(ids.iter().copied()))
            .filter(job::Column::Kind.eq(to_name("job kind", &JobKind::Evaluate)?))
            .order_by_asc(job::Column::Id)
            .into_tuple()
            .all(&self.reader)
            .await?;
        let mut newest: HashMap<Uuid, BTreeMap<u32, JobId>> = HashMap::new();
        for (parent, id, spec) in rows {
            let spec: JobSpec = from_json("job specification", &spec)?;
            let concepts = newest.entry(parent.unwrap_or_default()).or_default();
            concepts.insert(spec.evaluation.concept, JobId::from_uuid(id));
        }
        let ordered = newest.into_iter();
        Ok(ordered
            .map(|(parent, concepts)| (parent, concepts.into_values().collect()))
            .collect())
    }

    /// The galleries of these jobs and of their evaluations, by either.
    async fn galleries(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Uuid>, Error> {
        let either = Condition::any()
            .add(gallery::Column::ProtectJobId.is_in(ids.iter().copied()))
            .add(gallery::Column::EvaluationJobId.is_in(ids.iter().copied()));
        let rows: Vec<(Uuid, Uuid, Uuid)> = gallery::Entity::find()
            .select_only()
            .columns([
                gallery::Column::ProtectJobId,
                gallery::Column::EvaluationJobId,
                gallery::Column::Id,
            ])
            .filter(either)
            .order_by_asc(gallery::Column::Id)
            .into_tuple()
            .all(&self.reader)
            .await?;
        let pairs = rows
            .into_iter()
            .flat_map(|(protect, evaluation, id)| [(protect, id), (evaluation, id)]);
        Ok(pairs.collect())
    }
}
