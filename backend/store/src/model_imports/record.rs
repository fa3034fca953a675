//! What an import and its files look like outside of this package.

use shared::{
    ImportId, ModelId, OrganisationId, Timestamp,
    job::Failure,
    model_import::{ImportSource, ImportStatus},
};
use uuid::Uuid;

use crate::{
    Error,
    entity::{model_import, model_import_file},
    text::{from_json, from_json_opt, from_name, number, to_json, to_name},
};

/// One file that an import needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewImportFile {
    /// Path inside the model folder.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 of its bytes, where known.
    pub sha256: Option<String>,
    /// Version in the object storage that it comes from.
    pub etag: Option<String>,
}

/// What an import is started with.
#[derive(Clone, Debug)]
pub struct NewModelImport {
    /// What to call the model.
    pub name: String,
    /// Licence of the weights.
    pub licence: String,
    /// Class words that it draws well.
    pub classes: Vec<String>,
    /// The manifest that the model must have.
    pub pinned_sha256: Option<String>,
    /// Where the files come from.
    pub source: ImportSource,
    /// `Uploading` or `Downloading`.
    pub status: ImportStatus,
    /// The files, as far as they are known.
    pub files: Vec<NewImportFile>,
}

impl NewModelImport {
    pub(super) fn row(
        &self,
        owner: OrganisationId,
        id: Uuid,
        now: Timestamp,
    ) -> Result<model_import::Model, Error> {
        Ok(model_import::Model {
            id,
            owner_id: owner.uuid(),
            name: self.name.clone(),
            licence: self.licence.clone(),
            classes: to_json("class list", &self.classes)?,
            pinned_sha256: self.pinned_sha256.clone(),
            source: to_json("import source", &self.source)?,
            status: to_name("import status", &self.status)?,
            failure: None,
            model_id: None,
            created_at: now.milliseconds(),
            touched_at: now.milliseconds(),
        })
    }
}

/// An import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelImportRecord {
    /// Identifies the import.
    pub id: ImportId,
    /// Whose it is.
    pub owner_id: OrganisationId,
    /// What to call the model.
    pub name: String,
    /// Licence of the weights.
    pub licence: String,
    /// Class words that it draws well.
    pub classes: Vec<String>,
    /// The manifest that the model must have.
    pub pinned_sha256: Option<String>,
    /// Where the files come from.
    pub source: ImportSource,
    /// Where it stands.
    pub status: ImportStatus,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// The model that it became.
    pub model_id: Option<ModelId>,
    /// When it was started.
    pub created_at: Timestamp,
    /// When its owner did something for it last.
    pub touched_at: Timestamp,
}

impl TryFrom<model_import::Model> for ModelImportRecord {
    type Error = Error;

    fn try_from(row: model_import::Model) -> Result<Self, Error> {
        Ok(Self {
            id: ImportId::from_uuid(row.id),
            owner_id: OrganisationId::from_uuid(row.owner_id),
            name: row.name,
            licence: row.licence,
            classes: from_json("class list", &row.classes)?,
            pinned_sha256: row.pinned_sha256,
            source: from_json("import source", &row.source)?,
            status: from_name("import status", &row.status)?,
            failure: from_json_opt("failure", row.failure.as_deref())?,
            model_id: row.model_id.map(ModelId::from_uuid),
            created_at: Timestamp::from_milliseconds(row.created_at),
            touched_at: Timestamp::from_milliseconds(row.touched_at),
        })
    }
}

/// One file of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportFileRecord {
    /// Its place in the list.
    pub number: u32,
    /// Path inside the model folder.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 of its bytes, where known.
    pub sha256: Option<String>,
    /// Version in the object storage that it comes from.
    pub etag: Option<String>,
    /// Whether the artifact store holds it.
    pub stored: bool,
}

impl TryFrom<model_import_file::Model> for ImportFileRecord {
    type Error = Error;

    fn try_from(row: model_import_file::Model) -> Result<Self, Error> {
        Ok(Self {
            number: number("file number", row.number)?,
            name: row.name,
            size_bytes: number("file size", row.size_bytes)?,
            sha256: row.sha256,
            etag: row.etag,
            stored: row.stored,
        })
    }
}
