//! Protected sets: a draft collects images, an attestation seals it for ever.

use std::collections::BTreeSet;

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ModelTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType},
};
use shared::{
    ImageId, OrganisationId, SetId, Timestamp,
    limits::MIN_IMAGES,
    protected_set::{Attestation, SetStatus},
};
use uuid::Uuid;

use crate::{
    Error, Store,
    audit::{self, Deed},
    database::{insert, new_uuid, page},
    entity::{image, protected_set},
    text::{from_json_opt, from_name, to_json},
};

const DRAFT: &str = "draft";
const SEALED: &str = "sealed";

/// A protected set without its images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetRecord {
    /// Identifies the set.
    pub id: SetId,
    /// Whose it is.
    pub owner_id: OrganisationId,
    /// What its owner calls it.
    pub name: String,
    /// Whether it can still change.
    pub status: SetStatus,
    /// The declaration of rights, once sealed.
    pub attestation: Option<Attestation>,
    /// SHA-256 over its images, once sealed.
    pub manifest_sha256: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl TryFrom<protected_set::Model> for SetRecord {
    type Error = Error;

    fn try_from(row: protected_set::Model) -> Result<Self, Error> {
        Ok(Self {
            id: SetId::from_uuid(row.id),
            owner_id: OrganisationId::from_uuid(row.owner_id),
            name: row.name,
            status: from_name("set status", &row.status)?,
            attestation: from_json_opt("attestation", row.attestation.as_deref())?,
            manifest_sha256: row.manifest_sha256,
            created_at: Timestamp::from_milliseconds(row.created_at),
        })
    }
}

/// What seals a set.
#[derive(Clone, Debug)]
pub struct SealSet {
    /// The declaration.
    pub attestation: Attestation,
    /// SHA-256 over the images.
    pub manifest_sha256: String,
    /// The images that the manifest was made from, in any order.
    pub images: Vec<ImageId>,
}

/// A set of this owner, locked until the transaction ends.
pub(crate) async fn lock_set(
    connection: &impl ConnectionTrait,
    owner: OrganisationId,
    set: Uuid,
) -> Result<Option<protected_set::Model>, Error> {
    let query = protected_set::Entity::find_by_id(set)
        .filter(protected_set::Column::OwnerId.eq(owner.uuid()))
        .lock(LockType::NoKeyUpdate);
    Ok(query.one(connection).await?)
}

/// Refuses a sealed set.
pub(crate) fn ensure_draft(set: &protected_set::Model) -> Result<(), Error> {
    if set.status == DRAFT {
        return Ok(());
    }
    Err(Error::SetSealed)
}

/// Refuses a set that is missing, another's or a draft.
pub(crate) async fn ensure_sealed(
    connection: &impl ConnectionTrait,
    owner: OrganisationId,
    set: SetId,
) -> Result<(), Error> {
    protected_set::Entity::find_by_id(set.uuid())
        .filter(protected_set::Column::OwnerId.eq(owner.uuid()))
        .filter(protected_set::Column::Status.eq(SEALED))
        .one(connection)
        .await?
        .map(|_| ())
        .ok_or(Error::SetNotSealed)
}

async fn image_ids(connection: &impl ConnectionTrait, set: Uuid) -> Result<BTreeSet<Uuid>, Error> {
    let ids: Vec<Uuid> = image::Entity::find()
        .select_only()
        .column(image::Column::Id)
        .filter(image::Column::SetId.eq(set))
        .into_tuple()
        .all(connection)
        .await?;
    Ok(ids.into_iter().collect())
}

impl Store {
    /// Starts a draft.
    pub async fn create_set(
        &self,
        owner: OrganisationId,
        name: &str,
        now: Timestamp,
    ) -> Result<SetRecord, Error> {
        let row = protected_set::Model {
            id: new_uuid(now),
            owner_id: owner.uuid(),
            name: name.to_owned(),
            status: DRAFT.to_owned(),
            attestation: None,
            manifest_sha256: None,
            created_at: now.milliseconds(),
        };
        let transaction = self.begin().await?;
        insert(&transaction, row.clone()).await?;
        let deed = Deed::new("protected_set.created", SetId::from_uuid(row.id));
        audit::record(&transaction, owner, deed, now).await?;
        transaction.commit().await?;
        row.try_into()
    }

    /// The owner's sets, newest first, from below `after`.
    pub async fn list_sets(
        &self,
        owner: OrganisationId,
        after: Option<SetId>,
        limit: u64,
    ) -> Result<Vec<SetRecord>, Error> {
        let query =
            protected_set::Entity::find().filter(protected_set::Column::OwnerId.eq(owner.uuid()));
        let rows = page(
            query,
            protected_set::Column::Id,
            after.map(SetId::uuid),
            limit,
        )
        .all(&self.reader)
        .await?;
        rows.into_iter().map(SetRecord::try_from).collect()
    }

    /// Finds a set of this owner.
    pub async fn find_set(
        &self,
        owner: OrganisationId,
        id: SetId,
    ) -> Result<Option<SetRecord>, Error> {
        protected_set::Entity::find_by_id(id.uuid())
            .filter(protected_set::Column::OwnerId.eq(owner.uuid()))
            .one(&self.reader)
            .await?
            .map(SetRecord::try_from)
            .transpose()
    }

    /// Deletes a draft with its images and uploads; `false` where there is none, and
    /// [`Error::SetSealed`] for a sealed one.
    pub async fn delete_draft_set(
        &self,
        owner: OrganisationId,
        id: SetId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let transaction = self.begin().await?;
        let Some(set) = lock_set(&transaction, owner, id.uuid()).await? else {
            return Ok(false);
        };
        ensure_draft(&set)?;
        set.delete(&transaction).await?;
        let deed = Deed::new("protected_set.deleted", id);
        audit::record(&transaction, owner, deed, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Seals a draft, if it still holds exactly the images that were attested.
    ///
    /// [`Error::SetSealed`] when it is sealed already, [`Error::TooFewImages`],
    /// [`Error::SetChanged`] when an image came or went since the caller listed them.
    pub async fn seal_set(
        &self,
        owner: OrganisationId,
        id: SetId,
        seal: SealSet,
    ) -> Result<Option<SetRecord>, Error> {
        let transaction = self.begin().await?;
        let Some(mut set) = lock_set(&transaction, owner, id.uuid()).await? else {
            return Ok(None);
        };
        ensure_draft(&set)?;
        let images = image_ids(&transaction, set.id).await?;
        if images.len() < MIN_IMAGES {
            return Err(Error::TooFewImages {
                images: images.len(),
            });
        }
        if images != seal.images.iter().map(|id| id.uuid()).collect() {
            return Err(Error::SetChanged);
        }
        SEALED.clone_into(&mut set.status);
        set.attestation = Some(to_json("attestation", &seal.attestation)?);
        set.manifest_sha256 = Some(seal.manifest_sha256);
        save_seal(&transaction, &set).await?;
        let manifest = set.manifest_sha256.clone().unwrap_or_default();
        let deed = Deed::new("protected_set.sealed", id).detail(format!("manifest {manifest}"));
        audit::record(&transaction, owner, deed, seal.attestation.signed_at).await?;
        transaction.commit().await?;
        Ok(Some(set.try_into()?))
    }
}

async fn save_seal(
    connection: &impl ConnectionTrait,
    set: &protected_set::Model,
) -> Result<(), Error> {
    use protected_set::Column;
    protected_set::Entity::update_many()
        .col_expr(Column::Status, Expr::value(SEALED))
        .col_expr(Column::Attestation, Expr::value(set.attestation.clone()))
        .col_expr(
            Column::ManifestSha256,
            Expr::value(set.manifest_sha256.clone()),
        )
        .filter(Column::Id.eq(set.id))
        .filter(Column::Status.eq(DRAFT))
        .exec(connection)
        .await?;
    Ok(())
}
