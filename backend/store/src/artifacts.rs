//! Files that jobs produced.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};
use shared::{ArtifactId, JobId, OrganisationId, Timestamp, artifact::ArtifactKind};

use crate::{
    Error, Store,
    database::{insert, new_uuid, page},
    entity::{artifact, gallery, job},
    galleries,
    text::{from_name, number},
};

/// An output that a finishing job publishes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct NewArtifact {
    /// What the file is for.
    pub kind: ArtifactKind,
    /// File name, unique in its job.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Its size.
    pub size_bytes: u64,
}

/// A published file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactRecord {
    /// Identifies the file.
    pub id: ArtifactId,
    /// Whose it is.
    pub owner_id: OrganisationId,
    /// The job that made it.
    pub job_id: JobId,
    /// What it is for.
    pub kind: ArtifactKind,
    /// File name, unique in its job.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Its size.
    pub size_bytes: u64,
    /// When it was published.
    pub created_at: Timestamp,
}

impl TryFrom<artifact::Model> for ArtifactRecord {
    type Error = Error;

    fn try_from(row: artifact::Model) -> Result<Self, Error> {
        Ok(Self {
            id: ArtifactId::from_uuid(row.id),
            owner_id: OrganisationId::from_uuid(row.owner_id),
            job_id: JobId::from_uuid(row.job_id),
            kind: from_name("artifact kind", &row.kind)?,
            name: row.name,
            sha256: row.sha256,
            size_bytes: number("artifact size", row.size_bytes)?,
            created_at: Timestamp::from_milliseconds(row.created_at),
        })
    }
}

/// Publishes the outputs of a job.
pub(crate) async fn publish(
    connection: &impl ConnectionTrait,
    job: &job::Model,
    outputs: Vec<NewArtifact>,
    now: Timestamp,
) -> Result<(), Error> {
    for new in outputs {
        let row = artifact::Model {
            id: new_uuid(now),
            owner_id: job.owner_id,
            job_id: job.id,
            kind: new.kind.as_str().to_owned(),
            name: new.name,
            sha256: new.sha256,
            size_bytes: number("artifact size", new.size_bytes)?,
            created_at: now.milliseconds(),
        };
        insert(connection, row).await?;
    }
    Ok(())
}

impl Store {
    /// What a job of this owner published, by name.
    pub async fn list_artifacts(
        &self,
        owner: OrganisationId,
        job: JobId,
    ) -> Result<Vec<ArtifactRecord>, Error> {
        artifact::Entity::find()
            .filter(artifact::Column::OwnerId.eq(owner.uuid()))
            .filter(artifact::Column::JobId.eq(job.uuid()))
            .order_by_asc(artifact::Column::Name)
            .all(&self.reader)
            .await?
            .into_iter()
            .map(ArtifactRecord::try_from)
            .collect()
    }

    /// The owner's files of a kind, newest first, from below `after`.
    pub async fn list_artifacts_of_kind(
        &self,
        owner: OrganisationId,
        kind: ArtifactKind,
        after: Option<ArtifactId>,
        limit: u64,
    ) -> Result<Vec<ArtifactRecord>, Error> {
        let query = artifact::Entity::find()
            .filter(artifact::Column::OwnerId.eq(owner.uuid()))
            .filter(artifact::Column::Kind.eq(kind.as_str()));
        page(
            query,
            artifact::Column::Id,
            after.map(ArtifactId::uuid),
            limit,
        )
        .all(&self.reader)
        .await?
        .into_iter()
        .map(ArtifactRecord::try_from)
        .collect()
    }

    /// Finds what a job of this owner published under a name.
    pub async fn find_artifact_named(
        &self,
        owner: OrganisationId,
        job: JobId,
        name: &str,
    ) -> Result<Option<ArtifactRecord>, Error> {
        artifact::Entity::find()
            .filter(artifact::Column::OwnerId.eq(owner.uuid()))
            .filter(artifact::Column::JobId.eq(job.uuid()))
            .filter(artifact::Column::Name.eq(name))
            .one(&self.reader)
            .await?
            .map(ArtifactRecord::try_from)
            .transpose()
    }

    /// Finds a file of this owner.
    pub async fn find_artifact(
        &self,
        owner: OrganisationId,
        id: ArtifactId,
    ) -> Result<Option<ArtifactRecord>, Error> {
        artifact::Entity::find_by_id(id.uuid())
            .filter(artifact::Column::OwnerId.eq(owner.uuid()))
            .one(&self.reader)
            .await?
            .map(ArtifactRecord::try_from)
            .transpose()
    }

    /// Finds a picture of a public gallery; nothing else of its owner is public.
    pub async fn find_public_artifact(
        &self,
        id: ArtifactId,
    ) -> Result<Option<ArtifactRecord>, Error> {
        artifact::Entity::find_by_id(id.uuid())
            .filter(artifact::Column::Kind.eq(ArtifactKind::GalleryImage.as_str()))
            .filter(artifact::Column::JobId.in_subquery(public_jobs()))
            .one(&self.reader)
            .await?
            .map(ArtifactRecord::try_from)
            .transpose()
    }

    /// The pictures of a public gallery's evaluation job, by name; empty where it is not public.
    pub async fn list_public_artifacts(&self, job: JobId) -> Result<Vec<ArtifactRecord>, Error> {
        artifact::Entity::find()
            .filter(artifact::Column::Kind.eq(ArtifactKind::GalleryImage.as_str()))
            .filter(artifact::Column::JobId.eq(job.uuid()))
            .filter(artifact::Column::JobId.in_subquery(public_jobs()))
            .order_by_asc(artifact::Column::Name)
            .all(&self.reader)
            .await?
            .into_iter()
            .map(ArtifactRecord::try_from)
            .collect()
    }
}

fn public_jobs() -> sea_orm::sea_query::SelectStatement {
    gallery::Entity::find()
        .select_only()
        .column(gallery::Column::EvaluationJobId)
        .filter(galleries::is_shown())
        .into_query()
}
