//! Patches: the owners' own pictures that patterns show.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ModelTrait, PaginatorTrait, QueryFilter, QuerySelect,
};
use shared::{
    OrganisationId, PatchId, Timestamp,
    job::{Concept, JobSpec},
    limits::MAX_PATCHES,
};

use crate::{
    Error, Store,
    audit::{self, Deed},
    database::{insert, new_uuid, page},
    entity::{
        job,
        patch::{Column, Entity, Model},
    },
    jobs::ACTIVE,
    organisations,
    text::{from_json, number},
    usage::{self, More},
};

/// What a cleaned patch is stored with.
#[derive(Clone, Debug)]
pub struct NewPatch {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// SHA-256 of the cleaned file.
    pub sha256: String,
    /// Bytes of the cleaned file.
    pub size_bytes: u64,
}

/// A patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchRecord {
    /// Identifies the patch.
    pub id: PatchId,
    /// Whose it is.
    pub owner_id: OrganisationId,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// SHA-256 of the cleaned file.
    pub sha256: String,
    /// Bytes of the cleaned file.
    pub size_bytes: u64,
    /// When it was added.
    pub created_at: Timestamp,
}

impl TryFrom<Model> for PatchRecord {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        Ok(Self {
            id: PatchId::from_uuid(row.id),
            owner_id: OrganisationId::from_uuid(row.owner_id),
            width: number("patch width", row.width)?,
            height: number("patch height", row.height)?,
            sha256: row.sha256,
            size_bytes: number("patch size", row.size_bytes)?,
            created_at: Timestamp::from_milliseconds(row.created_at),
        })
    }
}

fn owned(owner: OrganisationId) -> sea_orm::Select<Entity> {
    Entity::find().filter(Column::OwnerId.eq(owner.uuid()))
}

/// Refuses a specification that shows a patch which is missing or another's.
pub(crate) async fn ensure_known(
    connection: &impl ConnectionTrait,
    owner: OrganisationId,
    spec: &JobSpec,
) -> Result<(), Error> {
    for patch in spec.concepts.iter().filter_map(own_patch) {
        let known = owned(owner).filter(Column::Id.eq(patch.uuid()));
        if known.count(connection).await? == 0 {
            return Err(Error::PatchMissing);
        }
    }
    Ok(())
}

const fn own_patch(concept: &Concept) -> Option<PatchId> {
    concept.objective.own_patch()
}

/// Whether a job that has not ended names the patch.
async fn is_in_use(
    connection: &impl ConnectionTrait,
    owner: OrganisationId,
    id: PatchId,
) -> Result<bool, Error> {
    let specs: Vec<String> = job::Entity::find()
        .select_only()
        .column(job::Column::Spec)
        .filter(job::Column::OwnerId.eq(owner.uuid()))
        .filter(job::Column::Status.is_in(ACTIVE))
        .into_tuple()
        .all(connection)
        .await?;
    for spec in specs {
        let spec: JobSpec = from_json("job specification", &spec)?;
        if spec
            .concepts
            .iter()
            .filter_map(own_patch)
            .any(|own| own == id)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Store {
    /// Adds a patch, or answers the one that this owner has with the same bytes.
    ///
    /// [`Error::TooManyPatches`] at the account's limit.
    pub async fn create_patch(
        &self,
        owner: OrganisationId,
        new: NewPatch,
        now: Timestamp,
    ) -> Result<PatchRecord, Error> {
        let row = Model {
            id: new_uuid(now),
            owner_id: owner.uuid(),
            width: number("patch width", new.width)?,
            height: number("patch height", new.height)?,
            sha256: new.sha256,
            size_bytes: number("patch size", new.size_bytes)?,
            created_at: now.milliseconds(),
        };
        let transaction = self.begin().await?;
        organisations::lock(&transaction, owner).await?;
        let twin = owned(owner).filter(Column::Sha256.eq(row.sha256.as_str()));
        if let Some(known) = twin.one(&transaction).await? {
            transaction.rollback().await?;
            return known.try_into();
        }
        if owned(owner).count(&transaction).await? >= MAX_PATCHES {
            transaction.rollback().await?;
            return Err(Error::TooManyPatches);
        }
        let more = More::bytes(new.size_bytes, now);
        usage::ensure_room(&transaction, owner, self.limits, more).await?;
        insert(&transaction, row.clone()).await?;
        let deed = Deed::new("patch.added", PatchId::from_uuid(row.id));
        audit::record(&transaction, owner, deed, now).await?;
        transaction.commit().await?;
        row.try_into()
    }

    /// The owner's patches, newest first, from below `after`.
    pub async fn list_patches(
        &self,
        owner: OrganisationId,
        after: Option<PatchId>,
        limit: u64,
    ) -> Result<Vec<PatchRecord>, Error> {
        let query = owned(owner);
        let rows = page(query, Column::Id, after.map(PatchId::uuid), limit)
            .all(&self.reader)
            .await?;
        rows.into_iter().map(PatchRecord::try_from).collect()
    }

    /// Finds a patch of this owner.
    pub async fn find_patch(
        &self,
        owner: OrganisationId,
        id: PatchId,
    ) -> Result<Option<PatchRecord>, Error> {
        owned(owner)
            .filter(Column::Id.eq(id.uuid()))
            .one(&self.reader)
            .await?
            .map(PatchRecord::try_from)
            .transpose()
    }

    /// Deletes a patch; `false` where there is none, and [`Error::PatchInUse`] while a job that has
    /// not ended names it.
    pub async fn delete_patch(
        &self,
        owner: OrganisationId,
        id: PatchId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let transaction = self.begin().await?;
        // Launches take the same lock: none can name the patch between the look and the deletion.
        organisations::lock(&transaction, owner).await?;
        let row = owned(owner).filter(Column::Id.eq(id.uuid()));
        let Some(row) = row.one(&transaction).await? else {
            transaction.rollback().await?;
            return Ok(false);
        };
        if is_in_use(&transaction, owner, id).await? {
            transaction.rollback().await?;
            return Err(Error::PatchInUse);
        }
        row.delete(&transaction).await?;
        audit::record(&transaction, owner, Deed::new("patch.deleted", id), now).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
