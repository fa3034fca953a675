//! Base models and their files.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
};
use shared::{ModelId, OrganisationId, Timestamp, base_model::ModelFacts, node::InputRole};
use uuid::Uuid;

use crate::{
    Error, Store,
    audit::{self, Deed},
    database::{insert, new_uuid},
    entity::{base_model, base_model_file, job},
    text::{from_json, from_json_opt, from_name, number, to_json, to_name},
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
    /// What its verification found.
    pub facts: Option<ModelFacts>,
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
    /// Whose import it is; absent where it is everybody's.
    pub owner_id: Option<OrganisationId>,
    /// What its verification found.
    pub facts: Option<ModelFacts>,
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
            owner_id: row.owner_id.map(OrganisationId::from_uuid),
            facts: from_json_opt("model facts", row.facts.as_deref())?,
            created_at: Timestamp::from_milliseconds(row.created_at),
        })
    }
}

impl NewBaseModel {
    fn row(
        &self,
        owner: Option<OrganisationId>,
        now: Timestamp,
    ) -> Result<base_model::Model, Error> {
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
            owner_id: owner.map(OrganisationId::uuid),
            facts: match &self.facts {
                Some(facts) => Some(to_json("model facts", facts)?),
                None => None,
            },
        })
    }
}

/// What an account sees: its own models and everybody's.
fn visible(viewer: OrganisationId) -> Condition {
    Condition::any()
        .add(base_model::Column::OwnerId.is_null())
        .add(base_model::Column::OwnerId.eq(viewer.uuid()))
}

/// Adds a model with its files.
pub(crate) async fn insert_model(
    connection: &impl ConnectionTrait,
    owner: Option<OrganisationId>,
    new: &NewBaseModel,
    now: Timestamp,
) -> Result<base_model::Model, Error> {
    let row = new.row(owner, now)?;
    insert(connection, row.clone()).await?;
    for file in &new.files {
        let file = base_model_file::Model {
            model_id: row.id,
            name: file.name.clone(),
            role: to_name("file role", &file.role)?,
            sha256: file.sha256.clone(),
            size_bytes: number("file size", file.size_bytes)?,
        };
        insert(connection, file).await?;
    }
    Ok(row)
}

/// The owner's model of these bytes.
pub(crate) async fn find_twin(
    connection: &impl ConnectionTrait,
    owner: Uuid,
    manifest_sha256: &str,
) -> Result<Option<base_model::Model>, Error> {
    Ok(base_model::Entity::find()
        .filter(base_model::Column::ManifestSha256.eq(manifest_sha256))
        .filter(base_model::Column::OwnerId.eq(owner))
        .one(connection)
        .await?)
}

impl Store {
    /// Registers a base model for everybody; one with the same manifest is answered as it is.
    pub async fn register_base_model(
        &self,
        new: &NewBaseModel,
        now: Timestamp,
    ) -> Result<BaseModelRecord, Error> {
        match self.insert_base_model(new, now).await {
            Err(Error::Conflict(message)) => base_model::Entity::find()
                .filter(base_model::Column::ManifestSha256.eq(&new.manifest_sha256))
                .filter(base_model::Column::OwnerId.is_null())
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
        let transaction = self.begin().await?;
        let row = insert_model(&transaction, None, new, now).await?;
        transaction.commit().await?;
        row.try_into()
    }

    /// Every base model that an account sees, newest first.
    pub async fn list_base_models(
        &self,
        viewer: OrganisationId,
    ) -> Result<Vec<BaseModelRecord>, Error> {
        base_model::Entity::find()
            .filter(visible(viewer))
            .order_by_desc(base_model::Column::Id)
            .all(&self.reader)
            .await?
            .into_iter()
            .map(BaseModelRecord::try_from)
            .collect()
    }

    /// Finds a base model that an account sees.
    pub async fn find_base_model(
        &self,
        viewer: OrganisationId,
        id: ModelId,
    ) -> Result<Option<BaseModelRecord>, Error> {
        base_model::Entity::find_by_id(id.uuid())
            .filter(visible(viewer))
            .one(&self.reader)
            .await?
            .map(BaseModelRecord::try_from)
            .transpose()
    }

    /// Deletes a model that this owner imported, with its imports; `false` where there is none.
    ///
    /// [`Error::ModelInUse`] where a job was launched on it: its results name the model.
    pub async fn delete_base_model(
        &self,
        owner: OrganisationId,
        id: ModelId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let transaction = self.begin().await?;
        let jobs = job::Entity::find().filter(job::Column::ModelId.eq(id.uuid()));
        if jobs.count(&transaction).await? > 0 {
            let own = base_model::Entity::find_by_id(id.uuid())
                .filter(base_model::Column::OwnerId.eq(owner.uuid()));
            return match own.one(&transaction).await? {
                Some(_) => Err(Error::ModelInUse),
                None => Ok(false),
            };
        }
        let deleted = base_model::Entity::delete_many()
            .filter(base_model::Column::Id.eq(id.uuid()))
            .filter(base_model::Column::OwnerId.eq(owner.uuid()))
            .exec(&transaction)
            .await?;
        if deleted.rows_affected > 0 {
            let deed = Deed::new("base_model.deleted", id);
            audit::record(&transaction, owner, deed, now).await?;
        }
        transaction.commit().await?;
        Ok(deleted.rows_affected > 0)
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
