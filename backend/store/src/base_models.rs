//! Base models and their files.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use shared::{ModelId, Timestamp, node::InputRole};

use crate::{
    Error, Store,
    database::{insert, new_uuid},
    entity::{base_model, base_model_file},
    text::{from_json, from_name, number, to_json, to_name},
};

/// One file of a base model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseModelFile {
    /// Path inside the model folder, such as `unet/config.json`.
    pub name: String,
    /// `ModelFile` or `Encoder`; the table refuses every other role.
    pub role: InputRole,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Its size.
    pub size_bytes: u64,
}

/// What a base model is registered with.
#[derive(Clone, Debug)]
pub struct NewBaseModel {
    /// What people call it.
    pub name: String,
    /// Architecture family.
    pub family: String,
    /// Side of its images in pixels.
    pub resolution: u32,
    /// Licence of the weights (SPDX).
    pub licence: String,
    /// SHA-256 over the sorted list of its files' names and hashes.
    pub manifest_sha256: String,
    /// Class words that it draws well.
    pub classes: Vec<String>,
    /// Vetted target classes.
    pub targets: Vec<String>,
    /// Identifiers that are one token.
    pub identifiers: Vec<String>,
    /// Its files.
    pub files: Vec<BaseModelFile>,
}

/// A registered base model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseModelRecord {
    /// Identifies the model.
    pub id: ModelId,
    /// What people call it.
    pub name: String,
    /// Architecture family.
    pub family: String,
    /// Side of its images in pixels.
    pub resolution: u32,
    /// Licence of the weights (SPDX).
    pub licence: String,
    /// SHA-256 over the sorted list of its files' names and hashes.
    pub manifest_sha256: String,
    /// All files together.
    pub size_bytes: u64,
    /// Class words that it draws well.
    pub classes: Vec<String>,
    /// Vetted target classes.
    pub targets: Vec<String>,
    /// Identifiers that are one token.
    pub identifiers: Vec<String>,
    /// When it was registered.
    pub created_at: Timestamp,
}

impl TryFrom<base_model::Model> for BaseModelRecord {
    type Error = Error;

    fn try_from(row: base_model::Model) -> Result<Self, Error> {
        Ok(Self {
            id: ModelId::from_uuid(row.id),
            name: row.name,
            family: row.family,
            resolution: number("resolution", row.resolution)?,
            licence: row.licence,
            manifest_sha256: row.manifest_sha256,
            size_bytes: number("model size", row.size_bytes)?,
            classes: from_json("class list", &row.classes)?,
            targets: from_json("target list", &row.targets)?,
            identifiers: from_json("identifier list", &row.identifiers)?,
            created_at: Timestamp::from_milliseconds(row.created_at),
        })
    }
}

impl NewBaseModel {
    fn row(&self, now: Timestamp) -> Result<base_model::Model, Error> {
        let size_bytes: u64 = self.files.iter().map(|file| file.size_bytes).sum();
        Ok(base_model::Model {
            id: new_uuid(now),
            name: self.name.clone(),
            family: self.family.clone(),
            resolution: number("resolution", self.resolution)?,
            licence: self.licence.clone(),
            manifest_sha256: self.manifest_sha256.clone(),
            size_bytes: number("model size", size_bytes)?,
            classes: to_json("class list", &self.classes)?,
            targets: to_json("target list", &self.targets)?,
            identifiers: to_json("identifier list", &self.identifiers)?,
            created_at: now.milliseconds(),
        })
    }
}

impl Store {
    /// Registers a base model; one with the same manifest is answered as it is.
    pub async fn register_base_model(
        &self,
        new: &NewBaseModel,
        now: Timestamp,
    ) -> Result<BaseModelRecord, Error> {
        match self.insert_base_model(new, now).await {
            Err(Error::Conflict(message)) => base_model::Entity::find()
                .filter(base_model::Column::ManifestSha256.eq(&new.manifest_sha256))
                .one(&self.reader)
                .await?
                .ok_or(Error::Conflict(message))?
                .try_into(),
            other => other,
        }
    }

    async fn insert_base_model(
        &self,
        new: &NewBaseModel,
        now: Timestamp,
    ) -> Result<BaseModelRecord, Error> {
        let row = new.row(now)?;
        let transaction = self.begin().await?;
        insert(&transaction, row.clone()).await?;
        for file in &new.files {
            let file = base_model_file::Model {
                model_id: row.id,
                name: file.name.clone(),
                role: to_name("file role", &file.role)?,
                sha256: file.sha256.clone(),
                size_bytes: number("file size", file.size_bytes)?,
            };
            insert(&transaction, file).await?;
        }
        transaction.commit().await?;
        row.try_into()
    }

    /// Every base model, newest first; they belong to everybody.
    pub async fn list_base_models(&self) -> Result<Vec<BaseModelRecord>, Error> {
        base_model::Entity::find()
            .order_by_desc(base_model::Column::Id)
            .all(&self.reader)
            .await?
            .into_iter()
            .map(BaseModelRecord::try_from)
            .collect()
    }

    /// Finds a base model.
    pub async fn find_base_model(&self, id: ModelId) -> Result<Option<BaseModelRecord>, Error> {
        base_model::Entity::find_by_id(id.uuid())
            .one(&self.reader)
            .await?
            .map(BaseModelRecord::try_from)
            .transpose()
    }

    /// The files of a base model by name; empty where there is no such model.
    pub async fn base_model_files(&self, id: ModelId) -> Result<Vec<BaseModelFile>, Error> {
        base_model_file::Entity::find()
            .filter(base_model_file::Column::ModelId.eq(id.uuid()))
            .order_by_asc(base_model_file::Column::Name)
            .all(&self.reader)
            .await?
            .into_iter()
            .map(|row| {
                Ok(BaseModelFile {
                    name: row.name,
                    role: from_name("file role", &row.role)?,
                    sha256: row.sha256,
                    size_bytes: number("file size", row.size_bytes)?,
                })
            })
            .collect()
    }
}
