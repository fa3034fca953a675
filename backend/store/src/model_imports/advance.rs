//! The steps of an import, each a compare-and-set on its status.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, sea_query::Expr};
use shared::{
    ImportId, ModelId, OrganisationId, Timestamp, job::Failure, model_import::ImportStatus,
};

use super::{FAILED, NewImportFile, READY, files_of, insert_files, lock_import, total};
use crate::{
    BaseModelRecord, Error, NewBaseModel, Store,
    audit::{self, Deed},
    base_models::{find_twin, insert_model},
    entity::{model_import, model_import_file},
    organisations,
    text::{from_name, number, to_json, to_name},
    usage::{self, More},
};

/// Sets the status and takes an earlier failure away.
async fn set_status(
    connection: &impl ConnectionTrait,
    id: ImportId,
    status: ImportStatus,
    now: Timestamp,
) -> Result<(), Error> {
    use model_import::Column;
    model_import::Entity::update_many()
        .col_expr(
            Column::Status,
            Expr::value(to_name("import status", &status)?),
        )
        .col_expr(Column::Failure, Expr::value(None::<String>))
        .col_expr(Column::TouchedAt, Expr::value(now.milliseconds()))
        .filter(Column::Id.eq(id.uuid()))
        .exec(connection)
        .await?;
    Ok(())
}

fn status_of(row: &model_import::Model) -> Result<ImportStatus, Error> {
    from_name("import status", &row.status)
}

impl Store {
    /// Moves an import of this owner from one of some states to another; `None` where there is no such import.
    ///
    /// [`Error::ImportState`] where it stands elsewhere.
    pub async fn move_import(
        &self,
        owner: OrganisationId,
        id: ImportId,
        from: &[ImportStatus],
        to: ImportStatus,
        now: Timestamp,
    ) -> Result<Option<()>, Error> {
        let transaction = self.begin().await?;
        let row = lock_import(&transaction, id).await?;
        let Some(row) = row.filter(|row| row.owner_id == owner.uuid()) else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let status = status_of(&row)?;
        if !from.contains(&status) {
            transaction.rollback().await?;
            return Err(Error::ImportState { status });
        }
        if to == ImportStatus::Verifying {
            let files = files_of(&transaction, row.id).await?;
            let missing = files.into_iter().filter(|file| !file.stored);
            let names: Vec<String> = missing.map(|file| file.name).collect();
            if !names.is_empty() {
                transaction.rollback().await?;
                return Err(Error::FilesMissing { names });
            }
        }
        set_status(&transaction, id, to, now).await?;
        transaction.commit().await?;
        Ok(Some(()))
    }

    /// Notes that the artifact store holds a file; `false` where the import is gone or does not wait for it.
    pub async fn mark_import_file_stored(
        &self,
        id: ImportId,
        file: u32,
        sha256: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        use model_import_file::Column;
        let transaction = self.begin().await?;
        let row = lock_import(&transaction, id).await?;
        let waiting = [ImportStatus::Uploading, ImportStatus::Downloading];
        let waits = match &row {
            Some(row) => waiting.contains(&status_of(row)?),
            None => false,
        };
        if !waits {
            transaction.rollback().await?;
            return Ok(false);
        }
        let updated = model_import_file::Entity::update_many()
            .col_expr(Column::Stored, Expr::value(true))
            .col_expr(Column::Sha256, Expr::value(sha256))
            .filter(Column::ImportId.eq(id.uuid()))
            .filter(Column::Number.eq(number::<_, i32>("file number", file)?))
            .exec(&transaction)
            .await?;
        touch(&transaction, id, now).await?;
        transaction.commit().await?;
        Ok(updated.rows_affected > 0)
    }

    /// Notes that the importer is still at it.
    pub async fn touch_import(&self, id: ImportId, now: Timestamp) -> Result<(), Error> {
        touch(self.writer(), id, now).await
    }

    /// Replaces the list of files of an import of this owner by what object storage holds now.
    ///
    /// [`Error::StorageFull`] where they do not fit into what the owner may keep.
    pub async fn replace_import_files(
        &self,
        owner: OrganisationId,
        id: ImportId,
        files: Vec<NewImportFile>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let transaction = self.begin().await?;
        organisations::lock(&transaction, owner).await?;
        let row = lock_import(&transaction, id).await?;
        if row.is_none_or(|row| row.owner_id != owner.uuid()) {
            transaction.rollback().await?;
            return Ok(false);
        }
        model_import_file::Entity::delete_many()
            .filter(model_import_file::Column::ImportId.eq(id.uuid()))
            .exec(&transaction)
            .await?;
        let more = More::bytes(total(&files), now);
        usage::ensure_room(&transaction, owner, self.limits, more).await?;
        insert_files(&transaction, id.uuid(), files).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Ends an import on which the server was working; one that moved on or went is left alone.
    pub async fn fail_import(
        &self,
        id: ImportId,
        failure: &Failure,
        now: Timestamp,
    ) -> Result<(), Error> {
        use model_import::Column;
        model_import::Entity::update_many()
            .col_expr(Column::Status, Expr::value(FAILED))
            .col_expr(Column::Failure, Expr::value(to_json("failure", failure)?))
            .col_expr(Column::TouchedAt, Expr::value(now.milliseconds()))
            .filter(Column::Id.eq(id.uuid()))
            .filter(Column::Status.is_in(["downloading", "verifying"]))
            .exec(self.writer())
            .await?;
        Ok(())
    }

    /// Registers the verified model for the import's owner; the same bytes are the same model.
    ///
    /// `None` where the import is gone or no longer verifying.
    pub async fn finish_import(
        &self,
        id: ImportId,
        new: &NewBaseModel,
        now: Timestamp,
    ) -> Result<Option<BaseModelRecord>, Error> {
        use model_import::Column;
        let transaction = self.begin().await?;
        let row = lock_import(&transaction, id).await?;
        let Some(row) = row.filter(|row| row.status == "verifying") else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let twin = find_twin(&transaction, row.owner_id, &new.manifest_sha256).await?;
        let owner = OrganisationId::from_uuid(row.owner_id);
        let model = match twin {
            Some(twin) => twin,
            None => insert_model(&transaction, Some(owner), new, now).await?,
        };
        model_import::Entity::update_many()
            .col_expr(Column::Status, Expr::value(READY))
            .col_expr(Column::Failure, Expr::value(None::<String>))
            .col_expr(
                Column::ModelId,
                Expr::value(Some(ModelId::from_uuid(model.id).uuid())),
            )
            .filter(Column::Id.eq(row.id))
            .exec(&transaction)
            .await?;
        let deed = Deed::new("base_model.registered", ModelId::from_uuid(model.id));
        audit::record(&transaction, owner, deed, now).await?;
        transaction.commit().await?;
        Ok(Some(model.try_into()?))
    }
}

async fn touch(
    connection: &impl ConnectionTrait,
    id: ImportId,
    now: Timestamp,
) -> Result<(), Error> {
    use model_import::Column;
    model_import::Entity::update_many()
        .col_expr(Column::TouchedAt, Expr::value(now.milliseconds()))
        .filter(Column::Id.eq(id.uuid()))
        .exec(connection)
        .await?;
    Ok(())
}
