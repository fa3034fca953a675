//! Images of protected sets.

use sea_orm::{
    ColumnTrait, EntityTrait, FromQueryResult, ModelTrait, PaginatorTrait, QueryFilter, QueryOrder,
    Statement, sea_query::Expr,
};
use shared::{ImageId, OrganisationId, SetId, Timestamp};

use crate::{
    Error, Store,
    audit::{self, Deed},
    data_keys,
    entity::image,
    organisations,
    sets::{ensure_draft, lock_set},
    text::number,
};

const TO_SEAL: &str = "\
    SELECT images.* FROM images
    LEFT JOIN (SELECT owner_id, MAX(version) AS newest FROM data_keys GROUP BY owner_id) AS keys
        ON keys.owner_id = images.owner_id
    WHERE images.key_version IS NULL OR images.key_version < keys.newest
    ORDER BY images.id LIMIT $1";

/// What a cleaned image is stored with.
#[derive(Clone, Debug)]
pub struct NewImage {
    /// Width in pixels, orientation applied.
    pub width: u32,
    /// Height in pixels, orientation applied.
    pub height: u32,
    /// SHA-256 of the cleaned file; the uploaded file's hash is taken from the upload.
    pub content_sha256: String,
    /// What is in the artifact store.
    pub stored: StoredImage,
    /// How it looks.
    pub looks: ImageLooks,
    /// Media type of the cleaned file.
    pub content_media_type: String,
    /// Bytes of the cleaned file.
    pub content_size_bytes: u64,
    /// Whether EXIF data was removed.
    pub exif_removed: bool,
    /// Whether a position was removed.
    pub gps_removed: bool,
}

/// A picture as the artifact store holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredImage {
    /// Version of the owner's key that it is sealed with; `None`: it is not.
    pub key_version: Option<u32>,
    /// SHA-256 of the object.
    pub sha256: String,
    /// SHA-256 of the object with the thumbnail, sealed alike.
    pub thumbnail_sha256: Option<String>,
}

impl StoredImage {
    /// Every object of the picture.
    pub fn hashes(&self) -> impl Iterator<Item = &str> {
        let thumbnail = self.thumbnail_sha256.as_deref();
        std::iter::once(self.sha256.as_str()).chain(thumbnail)
    }
}

/// How a picture looks, in few bytes; pictures of earlier versions have none of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageLooks {
    /// A blurred placeholder.
    pub blur_hash: Option<String>,
    /// 64 bits of which twins differ in few.
    pub difference_hash: Option<u64>,
    /// Variance of its Laplacian.
    pub sharpness: Option<u32>,
    /// How large the second of two subjects is, in percent of the first; 0 where no two were found.
    pub second_subject: Option<u32>,
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
    /// What is in the artifact store.
    pub stored: StoredImage,
    /// How it looks.
    pub looks: ImageLooks,
}

fn optional(name: &'static str, value: Option<i32>) -> Result<Option<u32>, Error> {
    value.map(|value| number(name, value)).transpose()
}

/// Neither database has 64 bits without a sign.
pub(crate) fn to_bits(hash: u64) -> String {
    format!("{hash:016x}")
}

fn from_bits(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
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
            stored: StoredImage {
                key_version: optional("key version", row.key_version)?,
                sha256: row
                    .stored_sha256
                    .unwrap_or_else(|| row.content_sha256.clone()),
                thumbnail_sha256: row.thumbnail_sha256,
            },
            looks: ImageLooks {
                blur_hash: row.blur_hash,
                difference_hash: row.difference_hash.as_deref().and_then(from_bits),
                sharpness: optional("sharpness", row.sharpness)?,
                second_subject: optional("second subject", row.second_subject)?,
            },
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

    /// Finds an image, whoever's it is: for an address that was signed for it.
    pub async fn find_any_image(&self, id: ImageId) -> Result<Option<ImageRecord>, Error> {
        image::Entity::find_by_id(id.uuid())
            .one(&self.reader)
            .await?
            .map(ImageRecord::try_from)
            .transpose()
    }

    /// Images that are not sealed with the newest key of their owner, oldest first; those of any owner.
    pub async fn any_images_to_seal(&self, limit: u64) -> Result<Vec<ImageRecord>, Error> {
        let statement = Statement::from_sql_and_values(
            self.reader.get_database_backend(),
            TO_SEAL,
            [i64::try_from(limit).unwrap_or(i64::MAX).into()],
        );
        image::Model::find_by_statement(statement)
            .all(&self.reader)
            .await?
            .into_iter()
            .map(ImageRecord::try_from)
            .collect()
    }

    /// Notes that a picture lies elsewhere now; `false` where it was sealed anew or removed since it was read, or the
    /// key was.
    pub async fn reseal_image(&self, image: &ImageRecord, to: &StoredImage) -> Result<bool, Error> {
        let version = to.key_version.map(|version| number("key version", version));
        let version: Option<i32> = version.transpose()?;
        let before = match &image.stored.key_version {
            None => image::Column::KeyVersion.is_null(),
            Some(version) => image::Column::KeyVersion.eq(*version),
        };
        let transaction = self.begin().await?;
        organisations::lock(&transaction, image.owner_id).await?;
        match data_keys::ensure_there(&transaction, image.owner_id, to.key_version).await {
            Err(Error::KeyReplaced) => {
                transaction.rollback().await?;
                return Ok(false);
            }
            there => there?,
        }
        let changed = image::Entity::update_many()
            .col_expr(image::Column::KeyVersion, Expr::value(version))
            .col_expr(
                image::Column::StoredSha256,
                Expr::value(Some(to.sha256.clone())),
            )
            .col_expr(
                image::Column::ThumbnailSha256,
                Expr::value(to.thumbnail_sha256.clone()),
            )
            .filter(image::Column::Id.eq(image.id.uuid()))
            .filter(before)
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(changed.rows_affected > 0)
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
