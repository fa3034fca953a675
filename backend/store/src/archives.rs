//! Archives of pictures: begun, gone on with after a crash, noted once.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, sea_query::Expr};
use shared::{OrganisationId, Timestamp, UploadId, upload::Unpacked};

use crate::{
    Error, Store, UploadRecord,
    audit::{self, Deed},
    entity::upload,
    text::to_json,
    uploads::{COMPLETED, RECEIVED, lock_upload, save_completed},
};

impl Store {
    /// Notes that a received archive is being unpacked; safe to repeat.
    pub async fn begin_archive(&self, id: UploadId) -> Result<(), Error> {
        let nothing = to_json("archive", &Unpacked::default())?;
        upload::Entity::update_many()
            .col_expr(upload::Column::Unpacked, Expr::value(Some(nothing)))
            .filter(upload::Column::Id.eq(id.uuid()))
            .filter(upload::Column::Status.eq(RECEIVED))
            .exec(self.writer())
            .await?;
        Ok(())
    }

    /// Archives, whoever's they are, whose unpacking was begun and not finished, oldest first.
    pub async fn any_begun_archives(&self) -> Result<Vec<UploadRecord>, Error> {
        upload::Entity::find()
            .filter(upload::Column::Status.eq(RECEIVED))
            .filter(upload::Column::Unpacked.is_not_null())
            .order_by_asc(upload::Column::Id)
            .all(&self.reader)
            .await?
            .into_iter()
            .map(UploadRecord::try_from)
            .collect()
    }

    /// Notes what became of the files of a received archive; a repeated call answers what was noted first.
    ///
    /// `None` where there is no such upload.
    pub async fn complete_archive(
        &self,
        owner: OrganisationId,
        id: UploadId,
        unpacked: &Unpacked,
        now: Timestamp,
    ) -> Result<Option<UploadRecord>, Error> {
        let transaction = self.begin().await?;
        let found = lock_upload(&transaction, id).await?;
        let Some(mut upload) = found.filter(|upload| upload.owner_id == owner.uuid()) else {
            transaction.rollback().await?;
            return Ok(None);
        };
        if upload.status != RECEIVED {
            transaction.rollback().await?;
            return upload.try_into().map(Some);
        }
        COMPLETED.clone_into(&mut upload.status);
        upload.unpacked = Some(to_json("archive", unpacked)?);
        save_completed(&transaction, &upload).await?;
        let deed = Deed::new("archive.unpacked", id);
        let counts = (unpacked.added.len(), unpacked.left_out.len());
        let deed = deed.detail(format!("{} pictures, {} left out", counts.0, counts.1));
        audit::record(&transaction, owner, deed, now).await?;
        transaction.commit().await?;
        Ok(Some(upload.try_into()?))
    }
}
