//! Uploads: announced, received, completed into an image.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType},
};
use shared::{
    ImageId, OrganisationId, SetId, Timestamp, UploadId,
    limits::MAX_IMAGES,
    upload::{Unpacked, UploadStatus},
};

use crate::{
    Error, NewImage, Store,
    audit::{self, Deed},
    data_keys,
    database::{insert, new_uuid},
    entity::{image, protected_set, upload},
    images::to_bits,
    organisations,
    sets::{ensure_draft, lock_set},
    text::{from_json_opt, from_name, number},
    usage::{self, More},
};

const PENDING: &str = "pending";
pub(crate) const RECEIVED: &str = "received";
pub(crate) const COMPLETED: &str = "completed";

/// What an upload is announced with.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// The draft that shall hold the image.
    pub set_id: SetId,
    /// File name without any path.
    pub filename: String,
    /// Announced media type.
    pub media_type: String,
    /// Announced size.
    pub size_bytes: u64,
    /// Announced SHA-256.
    pub sha256: String,
    /// Until when the bytes are accepted.
    pub expires_at: Timestamp,
}

/// A file at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// The draft that shall hold the image.
    pub set_id: SetId,
    /// File name without any path.
    pub filename: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// SHA-256 of the uploaded archive that it was in, if it was: the pictures of one take up the room that it announced.
    pub archive_sha256: Option<String>,
}

/// An announced upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRecord {
    /// Identifies the upload.
    pub id: UploadId,
    /// Whose it is.
    pub owner_id: OrganisationId,
    /// The set that shall hold the image.
    pub set_id: SetId,
    /// File name without any path.
    pub filename: String,
    /// Announced media type.
    pub media_type: String,
    /// Announced size.
    pub size_bytes: u64,
    /// Announced SHA-256.
    pub sha256: String,
    /// How far it is.
    pub status: UploadStatus,
    /// The image, once completed; absent when that image was deleted since.
    pub image_id: Option<ImageId>,
    /// What became of the files of an archive, once completed.
    pub unpacked: Option<Unpacked>,
    /// When it was announced.
    pub created_at: Timestamp,
    /// Until when the bytes are accepted.
    pub expires_at: Timestamp,
}

impl TryFrom<upload::Model> for UploadRecord {
    type Error = Error;

    fn try_from(row: upload::Model) -> Result<Self, Error> {
        Ok(Self {
            id: UploadId::from_uuid(row.id),
            owner_id: OrganisationId::from_uuid(row.owner_id),
            set_id: SetId::from_uuid(row.set_id),
            filename: row.filename,
            media_type: row.media_type,
            size_bytes: number("upload size", row.size_bytes)?,
            sha256: row.sha256,
            status: from_name("upload status", &row.status)?,
            image_id: row.image_id.map(ImageId::from_uuid),
            // Before that it says that unpacking was begun.
            unpacked: match row.status.as_str() {
                COMPLETED => from_json_opt("archive", row.unpacked.as_deref())?,
                _ => None,
            },
            created_at: Timestamp::from_milliseconds(row.created_at),
            expires_at: Timestamp::from_milliseconds(row.expires_at),
        })
    }
}

/// Refuses a set that cannot take this file.
async fn ensure_room(
    connection: &impl ConnectionTrait,
    set: &protected_set::Model,
    sha256: &str,
) -> Result<(), Error> {
    ensure_draft(set)?;
    let images = image::Entity::find().filter(image::Column::SetId.eq(set.id));
    let twin = images
        .clone()
        .filter(image::Column::Sha256.eq(sha256))
        .count(connection)
        .await?;
    if twin > 0 {
        return Err(Error::DuplicateImage);
    }
    let count: usize = number("image count", images.count(connection).await?)?;
    if count >= MAX_IMAGES {
        return Err(Error::SetFull);
    }
    Ok(())
}

fn image_row(
    owner: OrganisationId,
    file: NewFile,
    new: NewImage,
    now: Timestamp,
) -> Result<image::Model, Error> {
    Ok(image::Model {
        id: new_uuid(now),
        owner_id: owner.uuid(),
        set_id: file.set_id.uuid(),
        filename: file.filename,
        width: number("image width", new.width)?,
        height: number("image height", new.height)?,
        sha256: file.sha256,
        content_sha256: new.content_sha256,
        content_media_type: new.content_media_type,
        content_size_bytes: number("image size", new.content_size_bytes)?,
        exif_removed: new.exif_removed,
        gps_removed: new.gps_removed,
        created_at: now.milliseconds(),
        key_version: new
            .stored
            .key_version
            .map(|version| number("key version", version))
            .transpose()?,
        stored_sha256: Some(new.stored.sha256),
        thumbnail_sha256: new.stored.thumbnail_sha256,
        blur_hash: new.looks.blur_hash,
        difference_hash: new.looks.difference_hash.map(to_bits),
        sharpness: new
            .looks
            .sharpness
            .map(|sharpness| number("sharpness", sharpness))
            .transpose()?,
        second_subject: new
            .looks
            .second_subject
            .map(|percent| number("second subject", percent))
            .transpose()?,
    })
}

impl Store {
    /// Announces an upload into a draft of this owner; `None` where there is no such set.
    ///
    /// [`Error::SetSealed`], [`Error::SetFull`], [`Error::DuplicateImage`] or [`Error::StorageFull`] where it could not
    /// be completed anyway.
    pub async fn create_upload(
        &self,
        owner: OrganisationId,
        new: NewUpload,
        now: Timestamp,
    ) -> Result<Option<UploadRecord>, Error> {
        let row = upload::Model {
            id: new_uuid(now),
            owner_id: owner.uuid(),
            set_id: new.set_id.uuid(),
            filename: new.filename,
            media_type: new.media_type,
            size_bytes: number("upload size", new.size_bytes)?,
            sha256: new.sha256,
            status: PENDING.to_owned(),
            image_id: None,
            unpacked: None,
            created_at: now.milliseconds(),
            expires_at: new.expires_at.milliseconds(),
        };
        let transaction = self.begin().await?;
        organisations::lock(&transaction, owner).await?;
        let Some(set) = lock_set(&transaction, owner, row.set_id).await? else {
            return Ok(None);
        };
        ensure_room(&transaction, &set, &row.sha256).await?;
        let more = More {
            instead_of: Some((row.set_id, &row.sha256)),
            ..More::bytes(new.size_bytes, now)
        };
        usage::ensure_room(&transaction, owner, self.limits, more).await?;
        insert(&transaction, row.clone()).await?;
        transaction.commit().await?;
        Ok(Some(row.try_into()?))
    }

    /// Finds an upload of this owner.
    pub async fn find_upload(
        &self,
        owner: OrganisationId,
        id: UploadId,
    ) -> Result<Option<UploadRecord>, Error> {
        upload::Entity::find_by_id(id.uuid())
            .filter(upload::Column::OwnerId.eq(owner.uuid()))
            .one(&self.reader)
            .await?
            .map(UploadRecord::try_from)
            .transpose()
    }

    /// Notes that the bytes arrived and had the announced hash; safe to repeat.
    ///
    /// Takes no owner: the signed URL that carried the bytes is the permission.
    pub async fn mark_upload_received(&self, id: UploadId) -> Result<(), Error> {
        upload::Entity::update_many()
            .col_expr(upload::Column::Status, Expr::value(RECEIVED))
            .filter(upload::Column::Id.eq(id.uuid()))
            .filter(upload::Column::Status.eq(PENDING))
            .exec(self.writer())
            .await?;
        Ok(())
    }

    /// Turns a received upload into an image of its draft, all or nothing.
    ///
    /// A repeated call answers the image made first. [`Error::NotReceived`], [`Error::KeyReplaced`], [`Error::SetSealed`],
    /// [`Error::SetFull`], [`Error::DuplicateImage`], [`Error::StorageFull`]; `None` where there is no such upload.
    pub async fn complete_upload(
        &self,
        owner: OrganisationId,
        id: UploadId,
        new: NewImage,
        now: Timestamp,
    ) -> Result<Option<UploadRecord>, Error> {
        let Some(known) = self.find_upload(owner, id).await? else {
            return Ok(None);
        };
        let transaction = self.begin().await?;
        organisations::lock(&transaction, owner).await?;
        data_keys::ensure_there(&transaction, owner, new.stored.key_version).await?;
        let Some(set) = lock_set(&transaction, owner, known.set_id.uuid()).await? else {
            return Ok(None);
        };
        let Some(mut upload) = lock_upload(&transaction, id).await? else {
            return Ok(None);
        };
        match upload.status.as_str() {
            COMPLETED => return Ok(Some(upload.try_into()?)),
            RECEIVED => {
                ensure_room(&transaction, &set, &upload.sha256).await?;
                // It may be larger than announced, once it is decoded.
                let more = More {
                    instead_of: Some((upload.set_id, &upload.sha256)),
                    ..More::bytes(new.content_size_bytes, now)
                };
                usage::ensure_room(&transaction, owner, self.limits, more).await?;
            }
            _ => return Err(Error::NotReceived),
        }
        let file = NewFile {
            set_id: known.set_id,
            filename: upload.filename.clone(),
            sha256: upload.sha256.clone(),
            archive_sha256: None,
        };
        let image = insert_image(&transaction, image_row(owner, file, new, now)?, now).await?;
        upload.image_id = Some(image.uuid());
        COMPLETED.clone_into(&mut upload.status);
        save_completed(&transaction, &upload).await?;
        transaction.commit().await?;
        Ok(Some(upload.try_into()?))
    }

    /// Adds a file at hand to a draft of this owner, all or nothing; `None` where there is no such set.
    ///
    /// [`Error::KeyReplaced`], [`Error::SetSealed`], [`Error::SetFull`], [`Error::DuplicateImage`],
    /// [`Error::StorageFull`].
    pub async fn add_image(
        &self,
        owner: OrganisationId,
        file: NewFile,
        new: NewImage,
        now: Timestamp,
    ) -> Result<Option<ImageId>, Error> {
        let transaction = self.begin().await?;
        organisations::lock(&transaction, owner).await?;
        data_keys::ensure_there(&transaction, owner, new.stored.key_version).await?;
        let Some(set) = lock_set(&transaction, owner, file.set_id.uuid()).await? else {
            return Ok(None);
        };
        ensure_room(&transaction, &set, &file.sha256).await?;
        let archive = file.archive_sha256.as_deref();
        let more = More {
            instead_of: archive.map(|sha256| (set.id, sha256)),
            ..More::bytes(new.content_size_bytes, now)
        };
        usage::ensure_room(&transaction, owner, self.limits, more).await?;
        let image = insert_image(&transaction, image_row(owner, file, new, now)?, now).await?;
        transaction.commit().await?;
        Ok(Some(image))
    }
}

async fn insert_image(
    connection: &impl ConnectionTrait,
    image: image::Model,
    now: Timestamp,
) -> Result<ImageId, Error> {
    let (owner, id) = (
        OrganisationId::from_uuid(image.owner_id),
        ImageId::from_uuid(image.id),
    );
    insert(connection, image)
        .await
        .map_err(|error| Error::or_unique(error, Error::DuplicateImage))?;
    audit::record(connection, owner, Deed::new("image.added", id), now).await?;
    Ok(id)
}

pub(crate) async fn lock_upload(
    connection: &impl ConnectionTrait,
    id: UploadId,
) -> Result<Option<upload::Model>, Error> {
    let query = upload::Entity::find_by_id(id.uuid()).lock(LockType::NoKeyUpdate);
    Ok(query.one(connection).await?)
}

pub(crate) async fn save_completed(
    connection: &impl ConnectionTrait,
    upload: &upload::Model,
) -> Result<(), Error> {
    upload::Entity::update_many()
        .col_expr(upload::Column::Status, Expr::value(COMPLETED))
        .col_expr(upload::Column::ImageId, Expr::value(upload.image_id))
        .col_expr(
            upload::Column::Unpacked,
            Expr::value(upload.unpacked.clone()),
        )
        .filter(upload::Column::Id.eq(upload.id))
        .exec(connection)
        .await?;
    Ok(())
}
