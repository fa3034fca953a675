//! What a person may demand of their data: archives, and the removal of everything.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect, Statement,
    sea_query::Expr,
};
use shared::{
    DeletionId, ExportId, JobId, OrganisationId, Timestamp, UserId,
    artifact::ArtifactKind,
    job::{JobKind, JobSpec, JobStatus},
    notice::Transparency,
    webhook::{EventData, EventType},
};
use uuid::Uuid;

use crate::{
    Error, Store,
    audit::{self, Deed},
    database::{insert, new_uuid, page},
    entity::{artifact, deletion, export, job},
    jobs::ACTIVE,
    organisations,
    text::{corrupt, from_json, number, to_name},
    webhooks,
};

/// Hashes of everything that an account put into the object store.
const OBJECTS: &str = "\
    SELECT COALESCE(stored_sha256, content_sha256) FROM images WHERE owner_id = $1
    UNION SELECT thumbnail_sha256 FROM images WHERE owner_id = $1 AND thumbnail_sha256 IS NOT NULL
    UNION SELECT sha256 FROM uploads WHERE owner_id = $1
    UNION SELECT sha256 FROM artifacts WHERE owner_id = $1
    UNION SELECT sha256 FROM patches WHERE owner_id = $1
    UNION SELECT resume_sha256 FROM jobs WHERE owner_id = $1 AND resume_sha256 IS NOT NULL
    UNION SELECT sha256 FROM base_model_files WHERE model_id IN
        (SELECT id FROM base_models WHERE owner_id = $1)
    UNION SELECT sha256 FROM model_import_files WHERE sha256 IS NOT NULL AND import_id IN
        (SELECT id FROM model_imports WHERE owner_id = $1)";

/// Tables that hold an account's rows, those first that others do not need any more.
const TABLES: [(&str, &str); 18] = [
    ("data_keys", "owner_id"),
    ("share_links", "owner_id"),
    ("galleries", "owner_id"),
    ("approvals", "owner_id"),
    ("artifacts", "owner_id"),
    ("jobs", "owner_id"),
    ("patches", "owner_id"),
    ("uploads", "owner_id"),
    ("images", "owner_id"),
    ("protected_sets", "owner_id"),
    ("model_imports", "owner_id"),
    ("base_models", "owner_id"),
    ("webhooks", "owner_id"),
    ("webhook_events", "owner_id"),
    ("exports", "owner_id"),
    ("idempotency_keys", "principal_id"),
    ("sessions", "user_id"),
    ("identities", "user_id"),
];

/// Jobs whose files a job that has not ended may still be handed: its own, those of the job that it came from and of the
/// one before that, and those of the other jobs of its study.
const IN_USE: &str = "\
    WITH active AS (SELECT id, parent_id, kind FROM jobs WHERE status NOT IN ('succeeded', 'failed', 'canceled'))
    SELECT id FROM active
    UNION SELECT parent_id FROM active WHERE parent_id IS NOT NULL
    UNION SELECT plan.parent_id FROM jobs AS plan JOIN active ON active.parent_id = plan.id
        WHERE plan.parent_id IS NOT NULL
    UNION SELECT part.id FROM jobs AS part JOIN active ON active.parent_id = part.parent_id
        WHERE active.kind = 'study' AND part.kind = 'study'";

/// Jobs whose weights jobs that have not ended go on from: their specifications alone say so.
async fn extended(connection: &impl ConnectionTrait) -> Result<BTreeSet<Uuid>, Error> {
    let specs: Vec<String> = job::Entity::find()
        .select_only()
        .column(job::Column::Spec)
        .filter(job::Column::Status.is_in(ACTIVE))
        .into_tuple()
        .all(connection)
        .await?;
    let mut extended = BTreeSet::new();
    for spec in specs {
        let spec: JobSpec = from_json("job specification", &spec)?;
        extended.extend(spec.extends.map(JobId::uuid));
    }
    Ok(extended)
}

/// What a deletion removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Last hash of the audit log.
    pub audit_head: String,
    /// Hashes of what the account had in the object store.
    pub objects: BTreeSet<String>,
    /// Removed rows by table.
    pub rows: BTreeMap<String, u64>,
}

/// An archive of an account, made when it is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportRecord {
    /// Identifies the archive.
    pub id: ExportId,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Until when it can be fetched.
    pub expires_at: Timestamp,
}

impl From<export::Model> for ExportRecord {
    fn from(row: export::Model) -> Self {
        Self {
            id: ExportId::from_uuid(row.id),
            created_at: Timestamp::from_milliseconds(row.created_at),
            expires_at: Timestamp::from_milliseconds(row.expires_at),
        }
    }
}

impl Store {
    /// Lets an account fetch its archive until a moment.
    pub async fn create_export(
        &self,
        owner: OrganisationId,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<ExportRecord, Error> {
        let row = export::Model {
            id: new_uuid(now),
            owner_id: owner.uuid(),
            created_at: now.milliseconds(),
            expires_at: expires_at.milliseconds(),
        };
        let id = ExportId::from_uuid(row.id);
        let transaction = self.begin().await?;
        insert(&transaction, row.clone()).await?;
        audit::record(&transaction, owner, Deed::new("export.created", id), now).await?;
        let data = EventData {
            id: id.to_string(),
            url: format!("/v1/exports/{id}"),
        };
        webhooks::emit(&transaction, owner, (EventType::ExportReady, data), now).await?;
        transaction.commit().await?;
        Ok(row.into())
    }

    /// Finds an archive of this owner.
    pub async fn find_export(
        &self,
        owner: OrganisationId,
        id: ExportId,
    ) -> Result<Option<ExportRecord>, Error> {
        let row = export::Entity::find_by_id(id.uuid())
            .filter(export::Column::OwnerId.eq(owner.uuid()))
            .one(&self.reader)
            .await?;
        Ok(row.map(ExportRecord::from))
    }

    /// The owner's archives, newest first, from below `after`.
    pub async fn list_exports(
        &self,
        owner: OrganisationId,
        after: Option<ExportId>,
        limit: u64,
    ) -> Result<Vec<ExportRecord>, Error> {
        let query = export::Entity::find().filter(export::Column::OwnerId.eq(owner.uuid()));
        let rows = page(query, export::Column::Id, after.map(ExportId::uuid), limit)
            .all(&self.reader)
            .await?;
        Ok(rows.into_iter().map(ExportRecord::from).collect())
    }

    /// Removes a person with their own organisation and its audit log, and keeps the receipt, which names nobody: both or
    /// neither. [`Error::TooManyJobs`] while a job works or waits there, [`Error::LastOwner`] while another organisation
    /// is theirs.
    pub async fn delete_account(
        &self,
        person: UserId,
        (id, now): (DeletionId, Timestamp),
        receipt: impl FnOnce(&Deleted) -> Result<String, serde_json::Error> + Send,
    ) -> Result<Deleted, Error> {
        let owner = OrganisationId::from_uuid(person.uuid());
        let transaction = self.begin().await?;
        organisations::lock(&transaction, owner).await?;
        let active = job::Entity::find()
            .filter(job::Column::OwnerId.eq(owner.uuid()))
            .filter(job::Column::Status.is_in(ACTIVE))
            .count(&transaction)
            .await?;
        if active > 0 {
            transaction.rollback().await?;
            return Err(Error::TooManyJobs { active });
        }
        if organisations::owns_another(&transaction, person).await? {
            transaction.rollback().await?;
            return Err(Error::LastOwner);
        }
        let backend = transaction.get_database_backend();
        let own = |sql: String| Statement::from_sql_and_values(backend, sql, [owner.uuid().into()]);
        let mut objects = BTreeSet::new();
        for row in transaction.query_all_raw(own(OBJECTS.to_owned())).await? {
            objects.insert(row.try_get_by_index::<String>(0)?);
        }
        let audit_head = audit::remove(&transaction, owner).await?;
        let mut rows = BTreeMap::new();
        let last = [("organisations", "personal_user_id"), ("users", "id")];
        for (table, column) in TABLES.into_iter().chain(last) {
            let sql = format!("DELETE FROM {table} WHERE {column} = $1");
            let done = transaction.execute_raw(own(sql)).await?;
            rows.insert(table.to_owned(), done.rows_affected());
        }
        let deleted = Deleted {
            audit_head,
            objects,
            rows,
        };
        let kept = deletion::Model {
            id: id.uuid(),
            receipt: receipt(&deleted).map_err(|error| corrupt("deletion receipt", &error))?,
            deleted_at: now.milliseconds(),
        };
        insert(&transaction, kept).await?;
        transaction.commit().await?;
        Ok(deleted)
    }

    /// The receipt of a deletion.
    pub async fn find_deletion(&self, id: DeletionId) -> Result<Option<String>, Error> {
        let row = deletion::Entity::find_by_id(id.uuid())
            .one(&self.reader)
            .await?;
        Ok(row.map(|row| row.receipt))
    }

    /// Removes files of jobs that were published before a moment; what was promised or withdrawn stays, and what a job that
    /// has not ended may need stays until it has.
    pub async fn delete_old_artifacts(&self, before: Timestamp) -> Result<u64, Error> {
        let kept = ArtifactKind::KEPT.map(ArtifactKind::as_str);
        let transaction = self.begin().await?;
        let deleted = artifact::Entity::delete_many()
            .filter(artifact::Column::CreatedAt.lt(before.milliseconds()))
            .filter(artifact::Column::Kind.is_not_in(kept))
            .filter(Expr::cust(format!("job_id NOT IN ({IN_USE})")))
            .filter(artifact::Column::JobId.is_not_in(extended(&transaction).await?))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(deleted.rows_affected)
    }

    /// Counts that anyone may read.
    pub async fn transparency(&self) -> Result<Transparency, Error> {
        let specs: Vec<String> = job::Entity::find()
            .select_only()
            .column(job::Column::Spec)
            .filter(job::Column::Kind.eq(to_name("job kind", &JobKind::Protect)?))
            .filter(job::Column::Status.eq(JobStatus::Succeeded.as_str()))
            .into_tuple()
            .all(&self.reader)
            .await?;
        let mut counts = Transparency {
            notices_by_status: self.count_notices().await?,
            revocations: artifact::Entity::find()
                .filter(artifact::Column::Kind.eq(ArtifactKind::Revocation.as_str()))
                .count(&self.reader)
                .await?,
            deletions: number(
                "deletion count",
                deletion::Entity::find().count(&self.reader).await?,
            )?,
            ..Transparency::default()
        };
        for spec in specs {
            let spec: JobSpec = from_json("job specification", &spec)?;
            for concept in spec.concepts {
                let objective = concept.objective.kind().to_owned();
                *counts
                    .protections_by_objective
                    .entry(objective)
                    .or_default() += 1;
                let subject = to_name("subject", &concept.subject)?;
                *counts.protections_by_subject.entry(subject).or_default() += 1;
            }
        }
        Ok(counts)
    }
}
