//! Images of protected sets.

use sea_orm::{ColumnTrait, EntityTrait, ModelTrait, PaginatorTrait, QueryFilter, QueryOrder};
use shared::{ImageId, OrganisationId, SetId, Timestamp};

use crate::{
    Error, Store,
    audit::{self, Deed},
    entity::image,
    sets::{ensure_draft, lock_set},
    text::number,
};

/// What a cleaned image is stored with.
#[derive(Clone, Debug)]
pub struct NewImage {
    /// Width in pixels, orientation applied.
    pub width: u32,
    /// Height in pixels, orientation applied.
    pub height: u32,
    /// SHA-256 of the cleaned file; the uploaded file's hash is taken from the upload.
    pub content_sha256: String,
    /// Media type of the cleaned file.
    pub content_media_type: String,
    /// Bytes of the cleaned file.
    pub content_size_bytes: u64,
    /// Whether EXIF data was removed.
    pub exif_removed: bool,
    /// Whether a position was removed.
    pub gps_removed: bool,
}

/// An image of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRecord {
    /// Identifies the image.
    pub id: ImageId,
    /// Whose it is.
    pub owner_id: OrganisationId,
    /// The set that holds it.
    pub set_id: SetId,
    /// File name as uploaded, without any path.
    pub filename: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// SHA-256 of the file as uploaded.
    pub sha256: String,
    /// SHA-256 of the cleaned file.
    pub content_sha256: String,
    /// Media type of the cleaned file.
    pub content_media_type: String,
    /// Bytes of the cleaned file.
    pub content_size_bytes: u64,
    /// Whether EXIF data was removed.
    pub exif_removed: bool,
    /// Whether a position was removed.
    pub gps_removed: bool,
    /// When it was added.
    pub created_at: Timestamp,
}

impl TryFrom<image::Model> for ImageRecord {
    type Error = Error;

    fn try_from(row: image::Model) -> Result<Self, Error> {
        Ok(Self {
            id: ImageId::from_uuid(row.id),
            owner_id: OrganisationId::from_uuid(row.owner_id),
            set_id: SetId::from_uuid(row.set_id),
            filename: row.filename,
            width: number("image width", row.width)?,
            height: number("image height", row.height)?,
            sha256: row.sha256,
            content_sha256: row.content_sha256,
            content_media_type: row.content_media_type,
            content_size_bytes: number("image size", row.content_size_bytes)?,
            exif_removed: row.exif_removed,
            gps_removed: row.gps_removed,
            created_at: Timestamp::from_milliseconds(row.created_at),
        })
    }
}

impl Store {
    /// The images of a set of this owner, oldest first.
    pub async fn list_images(
        &self,
        owner: OrganisationId,
        set: SetId,
    ) -> Result<Vec<ImageRecord>, Error> {
        self.list_images_of_sets(owner, &[set]).await
    }

    /// The images of several sets of this owner, oldest first; each record names its set.
    pub async fn list_images_of_sets(
        &self,
        owner: OrganisationId,
        sets: &[SetId],
    ) -> Result<Vec<ImageRecord>, Error> {
        image::Entity::find()
            .filter(image::Column::OwnerId.eq(owner.uuid()))
            .filter(image::Column::SetId.is_in(sets.iter().map(|id| id.uuid())))
            .order_by_asc(image::Column::Id)
            .all(&self.reader)
            .await?
            .into_iter()
            .map(ImageRecord::try_from)
            .collect()
    }

    /// Finds an image of this owner.
    pub async fn find_image(
        &self,
        owner: OrganisationId,
        id: ImageId,
    ) -> Result<Option<ImageRecord>, Error> {
        image::Entity::find_by_id(id.uuid())
            .filter(image::Column::OwnerId.eq(owner.uuid()))
            .one(&self.reader)
            .await?
            .map(ImageRecord::try_from)
            .transpose()
    }

    /// Deletes an image of a draft; `false` where there is none, and [`Error::SetSealed`].
    pub async fn delete_image(
        &self,
        owner: OrganisationId,
        id: ImageId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let transaction = self.begin().await?;
        let image = image::Entity::find_by_id(id.uuid())
            .filter(image::Column::OwnerId.eq(owner.uuid()))
            .one(&transaction)
            .await?;
        let Some(image) = image else {
            return Ok(false);
        };
        let Some(set) = lock_set(&transaction, owner, image.set_id).await? else {
            return Ok(false);
        };
        ensure_draft(&set)?;
        let deleted = image.delete(&transaction).await?.rows_affected;
        if deleted > 0 {
            audit::record(&transaction, owner, Deed::new("image.deleted", id), now).await?;
        }
        transaction.commit().await?;
        Ok(deleted > 0)
    }

    /// How many images a set of this owner holds.
    pub async fn count_images(&self, owner: OrganisationId, set: SetId) -> Result<u64, Error> {
        Ok(image::Entity::find()
            .filter(image::Column::OwnerId.eq(owner.uuid()))
            .filter(image::Column::SetId.eq(set.uuid()))
            .count(&self.reader)
            .await?)
    }
}
