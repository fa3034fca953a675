//! Imports of base models: their files, their states, and the model that they become.

mod advance;
mod record;

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ModelTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, sea_query::LockType,
};
use shared::{
    ImportId, OrganisationId, Timestamp,
    limits::{MAX_IMPORTED_MODELS, MAX_OPEN_IMPORTS},
    model_import::ImportStatus,
};

pub use record::{ImportFileRecord, ModelImportRecord, NewImportFile, NewModelImport};

use crate::{
    Error, Store,
    audit::{self, Deed},
    database::{insert, new_uuid, page},
    entity::{base_model, model_import, model_import_file},
    organisations,
    text::{number, to_name},
    usage::{self, More},
};

pub(crate) const READY: &str = "ready";
pub(crate) const FAILED: &str = "failed";
const UPLOADING: &str = "uploading";

/// Refuses an account that holds as much as it may; its row is locked, so that two requests count one after another.
async fn ensure_room(
    connection: &impl ConnectionTrait,
    owner: OrganisationId,
) -> Result<(), Error> {
    organisations::lock(connection, owner).await?;
    let open = model_import::Entity::find()
        .filter(model_import::Column::OwnerId.eq(owner.uuid()))
        .filter(model_import::Column::Status.ne(READY))
        .count(connection)
        .await?;
    if open >= MAX_OPEN_IMPORTS as u64 {
        return Err(Error::TooManyImports { open });
    }
    let models = base_model::Entity::find()
        .filter(base_model::Column::OwnerId.eq(owner.uuid()))
        .count(connection)
        .await?;
    if models >= MAX_IMPORTED_MODELS as u64 {
        return Err(Error::TooManyModels { models });
    }
    Ok(())
}

/// Bytes of these files together.
fn total(files: &[NewImportFile]) -> u64 {
    let sizes = files.iter().map(|file| file.size_bytes);
    sizes.fold(0, u64::saturating_add)
}

async fn insert_files(
    connection: &impl ConnectionTrait,
    import: uuid::Uuid,
    files: Vec<NewImportFile>,
) -> Result<(), Error> {
    for (index, file) in files.into_iter().enumerate() {
        let row = model_import_file::Model {
            import_id: import,
            number: number("file number", index)?,
            name: file.name,
            size_bytes: number("file size", file.size_bytes)?,
            sha256: file.sha256,
            etag: file.etag,
            stored: false,
        };
        insert(connection, row).await?;
    }
    Ok(())
}

/// The import's files by number.
async fn files_of(
    connection: &impl ConnectionTrait,
    id: uuid::Uuid,
) -> Result<Vec<ImportFileRecord>, Error> {
    model_import_file::Entity::find()
        .filter(model_import_file::Column::ImportId.eq(id))
        .order_by_asc(model_import_file::Column::Number)
        .all(connection)
        .await?
        .into_iter()
        .map(ImportFileRecord::try_from)
        .collect()
}

/// An import, locked until the transaction ends.
async fn lock_import(
    connection: &impl ConnectionTrait,
    id: ImportId,
) -> Result<Option<model_import::Model>, Error> {
    let query = model_import::Entity::find_by_id(id.uuid()).lock(LockType::NoKeyUpdate);
    Ok(query.one(connection).await?)
}

impl Store {
    /// Starts an import.
    ///
    /// [`Error::TooManyImports`], [`Error::TooManyModels`] or [`Error::StorageFull`] where the account holds as much as it may.
    pub async fn create_import(
        &self,
        owner: OrganisationId,
        new: NewModelImport,
        now: Timestamp,
    ) -> Result<ModelImportRecord, Error> {
        let row = new.row(owner, new_uuid(now), now)?;
        let transaction = self.begin().await?;
        ensure_room(&transaction, owner).await?;
        let more = More::bytes(total(&new.files), now);
        usage::ensure_room(&transaction, owner, self.limits, more).await?;
        insert(&transaction, row.clone()).await?;
        insert_files(&transaction, row.id, new.files).await?;
        let deed = Deed::new("model_import.created", ImportId::from_uuid(row.id));
        audit::record(&transaction, owner, deed, now).await?;
        transaction.commit().await?;
        row.try_into()
    }

    /// The owner's imports, newest first, from below `after`.
    pub async fn list_imports(
        &self,
        owner: OrganisationId,
        after: Option<ImportId>,
        limit: u64,
    ) -> Result<Vec<ModelImportRecord>, Error> {
        let query =
            model_import::Entity::find().filter(model_import::Column::OwnerId.eq(owner.uuid()));
        let rows = page(
            query,
            model_import::Column::Id,
            after.map(ImportId::uuid),
            limit,
        )
        .all(&self.reader)
        .await?;
        rows.into_iter().map(ModelImportRecord::try_from).collect()
    }

    /// Finds an import of this owner.
    pub async fn find_import(
        &self,
        owner: OrganisationId,
        id: ImportId,
    ) -> Result<Option<ModelImportRecord>, Error> {
        let found = self.find_import_any(id).await?;
        Ok(found.filter(|import| import.owner_id == owner))
    }

    /// Finds an import, whoever owns it: for the server's own work on it.
    pub async fn find_import_any(&self, id: ImportId) -> Result<Option<ModelImportRecord>, Error> {
        model_import::Entity::find_by_id(id.uuid())
            .one(&self.reader)
            .await?
            .map(ModelImportRecord::try_from)
            .transpose()
    }

    /// The files of an import of this owner, by number; empty where there is none.
    pub async fn import_files(
        &self,
        owner: OrganisationId,
        id: ImportId,
    ) -> Result<Vec<ImportFileRecord>, Error> {
        if self.find_import(owner, id).await?.is_none() {
            return Ok(Vec::new());
        }
        files_of(&self.reader, id.uuid()).await
    }

    /// Every import that the server itself was working on, oldest first: what a restart goes on with.
    pub async fn list_busy_imports_any(&self) -> Result<Vec<ModelImportRecord>, Error> {
        let busy = [ImportStatus::Downloading, ImportStatus::Verifying];
        let names: Result<Vec<String>, Error> = busy
            .iter()
            .map(|status| to_name("import status", status))
            .collect();
        let rows = model_import::Entity::find()
            .filter(model_import::Column::Status.is_in(names?))
            .order_by_asc(model_import::Column::Id)
            .all(&self.reader)
            .await?;
        rows.into_iter().map(ModelImportRecord::try_from).collect()
    }

    /// Deletes an import; the model that it became stays. `None` where there is no such import, else its files.
    pub async fn delete_import(
        &self,
        owner: OrganisationId,
        id: ImportId,
    ) -> Result<Option<Vec<ImportFileRecord>>, Error> {
        let transaction = self.begin().await?;
        let row = lock_import(&transaction, id).await?;
        let Some(row) = row.filter(|row| row.owner_id == owner.uuid()) else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let files = files_of(&transaction, row.id).await?;
        row.delete(&transaction).await?;
        transaction.commit().await?;
        Ok(Some(files))
    }

    /// Gives up imports that waited for their importers since before a moment.
    pub async fn delete_abandoned_imports(&self, before: Timestamp) -> Result<u64, Error> {
        let deleted = model_import::Entity::delete_many()
            .filter(model_import::Column::Status.is_in([UPLOADING, FAILED]))
            .filter(model_import::Column::TouchedAt.lt(before.milliseconds()))
            .exec(self.writer())
            .await?;
        Ok(deleted.rows_affected)
    }

    /// Ids of every import: partial files of others are litter.
    pub async fn import_ids_any(&self) -> Result<Vec<ImportId>, Error> {
        let ids: Vec<uuid::Uuid> = model_import::Entity::find()
            .select_only()
            .column(model_import::Column::Id)
            .into_tuple()
            .all(&self.reader)
            .await?;
        Ok(ids.into_iter().map(ImportId::from_uuid).collect())
    }
}
