//! Galleries: private until their owner publishes them.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
    sea_query::{Expr, ExprTrait},
};
use shared::{
    GalleryId, JobId, OrganisationId, SetId, Timestamp,
    collateral::Collateral,
    evaluation::EvaluationOutput,
    webhook::{EventData, EventType},
};

use crate::{
    Error, Store,
    audit::{self, Deed},
    database::{insert, new_uuid, page},
    entity::{
        gallery::{Column, Entity, Model},
        job,
    },
    notices,
    text::{from_json, from_json_opt, to_json},
    webhooks,
};

/// What a finishing evaluation opens.
#[derive(Clone, Debug)]
pub struct NewGallery {
    /// Name of the protected set.
    pub title: String,
    /// What the judge wrote.
    pub output: EvaluationOutput,
    /// Side effects, where the node measured them.
    pub collateral: Option<Collateral>,
    /// Whether anybody may see it.
    pub public: bool,
}

/// A gallery.
#[derive(Clone, Debug, PartialEq)]
pub struct GalleryRecord {
    /// Identifies the gallery.
    pub id: GalleryId,
    /// Whose it is.
    pub owner_id: OrganisationId,
    /// The protected set.
    pub set_id: SetId,
    /// The job that trained the protection.
    pub protect_job_id: JobId,
    /// The job that judged it.
    pub evaluation_job_id: JobId,
    /// Name of the protected set.
    pub title: String,
    /// What the judge wrote; pictures are named as the evaluation job's artifacts are.
    pub output: EvaluationOutput,
    /// Side effects, where the node measured them.
    pub collateral: Option<Collateral>,
    /// Whether anybody may see it.
    pub public: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A gallery in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GallerySummaryRecord {
    /// Identifies the gallery.
    pub id: GalleryId,
    /// Name of the protected set.
    pub title: String,
    /// The verdict in one sentence.
    pub verdict: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl TryFrom<Model> for GalleryRecord {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        Ok(Self {
            id: GalleryId::from_uuid(row.id),
            owner_id: OrganisationId::from_uuid(row.owner_id),
            set_id: SetId::from_uuid(row.set_id),
            protect_job_id: JobId::from_uuid(row.protect_job_id),
            evaluation_job_id: JobId::from_uuid(row.evaluation_job_id),
            title: row.title,
            output: from_json("evaluation", &row.output)?,
            collateral: from_json_opt("side effects", row.collateral.as_deref())?,
            public: row.is_public,
            created_at: Timestamp::from_milliseconds(row.created_at),
        })
    }
}

impl From<GalleryRecord> for GallerySummaryRecord {
    fn from(gallery: GalleryRecord) -> Self {
        Self {
            id: gallery.id,
            title: gallery.title,
            verdict: gallery.output.report.verdict,
            created_at: gallery.created_at,
        }
    }
}

/// Suspended neither itself nor with its job.
///
/// What a notice says about one gallery holds for every other of the same set and protect job: judged again, it is the
/// same. Other sets of that job have other people behind them.
pub(crate) fn is_not_suspended() -> Condition {
    let named = Condition::any()
        .add(Column::Id.in_subquery(notices::suspended()))
        .add(Column::EvaluationJobId.in_subquery(notices::suspended()));
    let twins = Entity::find()
        .select_only()
        .columns([Column::ProtectJobId, Column::SetId])
        .filter(named)
        .into_query();
    let own = [Column::ProtectJobId, Column::SetId].map(|column| Expr::col((Entity, column)));
    Condition::all()
        .add(Column::ProtectJobId.not_in_subquery(notices::suspended()))
        .add(Expr::tuple(own).not_in_subquery(twins))
}

/// Public, and not suspended.
pub(crate) fn is_shown() -> Condition {
    is_not_suspended().add(Column::IsPublic.eq(true))
}

/// Opens the gallery of an evaluation job.
pub(crate) async fn open(
    connection: &impl ConnectionTrait,
    job: &job::Model,
    new: NewGallery,
    now: Timestamp,
) -> Result<(), Error> {
    let row = Model {
        id: new_uuid(now),
        owner_id: job.owner_id,
        set_id: job.set_id,
        protect_job_id: job.parent_id.unwrap_or(job.id),
        evaluation_job_id: job.id,
        title: new.title,
        output: to_json("evaluation", &new.output)?,
        is_public: new.public,
        collateral: new
            .collateral
            .map(|collateral| to_json("side effects", &collateral))
            .transpose()?,
        created_at: now.milliseconds(),
    };
    let id = GalleryId::from_uuid(row.id);
    insert(connection, row).await?;
    let owner = OrganisationId::from_uuid(job.owner_id);
    audit::record(connection, owner, Deed::new("gallery.ready", id), now).await?;
    let data = EventData {
        id: id.to_string(),
        url: format!("/v1/galleries/{id}"),
    };
    webhooks::emit(connection, owner, (EventType::GalleryReady, data), now).await
}

impl Store {
    /// The owner's galleries, newest first, from below `after`.
    pub async fn list_galleries(
        &self,
        owner: OrganisationId,
        after: Option<GalleryId>,
        limit: u64,
    ) -> Result<Vec<GallerySummaryRecord>, Error> {
        let query = Entity::find().filter(Column::OwnerId.eq(owner.uuid()));
        let rows = page(query, Column::Id, after.map(GalleryId::uuid), limit)
            .all(&self.reader)
            .await?;
        rows.into_iter()
            .map(|row| Ok(GalleryRecord::try_from(row)?.into()))
            .collect()
    }

    /// Finds a gallery of this owner.
    pub async fn find_gallery(
        &self,
        owner: OrganisationId,
        id: GalleryId,
    ) -> Result<Option<GalleryRecord>, Error> {
        Entity::find_by_id(id.uuid())
            .filter(Column::OwnerId.eq(owner.uuid()))
            .one(&self.reader)
            .await?
            .map(GalleryRecord::try_from)
            .transpose()
    }

    /// The galleries of a protect job of this owner, oldest first.
    pub async fn list_galleries_of(
        &self,
        owner: OrganisationId,
        job: JobId,
    ) -> Result<Vec<GalleryRecord>, Error> {
        Entity::find()
            .filter(Column::OwnerId.eq(owner.uuid()))
            .filter(Column::ProtectJobId.eq(job.uuid()))
            .order_by_asc(Column::Id)
            .all(&self.reader)
            .await?
            .into_iter()
            .map(GalleryRecord::try_from)
            .collect()
    }

    /// Finds anybody's gallery; for notices, which say where somebody must look.
    pub async fn find_gallery_any(&self, id: GalleryId) -> Result<Option<GalleryRecord>, Error> {
        Entity::find_by_id(id.uuid())
            .one(&self.reader)
            .await?
            .map(GalleryRecord::try_from)
            .transpose()
    }

    /// Finds a gallery that anybody may see and no notice suspended.
    pub async fn find_public_gallery(&self, id: GalleryId) -> Result<Option<GalleryRecord>, Error> {
        Entity::find_by_id(id.uuid())
            .filter(is_shown())
            .one(&self.reader)
            .await?
            .map(GalleryRecord::try_from)
            .transpose()
    }

    /// The newest public gallery of an account: with the demo account, the demo gallery.
    pub async fn latest_public_gallery(
        &self,
        owner: OrganisationId,
    ) -> Result<Option<GalleryRecord>, Error> {
        Entity::find()
            .filter(Column::OwnerId.eq(owner.uuid()))
            .filter(is_shown())
            .order_by_desc(Column::Id)
            .one(&self.reader)
            .await?
            .map(GalleryRecord::try_from)
            .transpose()
    }

    /// Publishes or hides a gallery; `false` where this owner has none.
    pub async fn set_gallery_public(
        &self,
        owner: OrganisationId,
        id: GalleryId,
        public: bool,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let transaction = self.begin().await?;
        let changed = Entity::update_many()
            .col_expr(Column::IsPublic, Expr::value(public))
            .filter(Column::Id.eq(id.uuid()))
            .filter(Column::OwnerId.eq(owner.uuid()))
            .exec(&transaction)
            .await?;
        if changed.rows_affected > 0 {
            let action = if public {
                "gallery.published"
            } else {
                "gallery.hidden"
            };
            audit::record(&transaction, owner, Deed::new(action, id), now).await?;
        }
        transaction.commit().await?;
        Ok(changed.rows_affected > 0)
    }
}
