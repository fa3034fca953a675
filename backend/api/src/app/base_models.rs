//! Base models, and the registration of the embedded one.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use shared::{ModelId, OrganisationId, base_model::BaseModel, page::Page};
use store::{BaseModelFile, BaseModelRecord, NewBaseModel};

use super::{App, blobs, embedded, paging::Paging};
use crate::error::Error;

fn view(model: BaseModelRecord) -> BaseModel {
    BaseModel {
        id: model.id,
        name: model.name,
        family: model.family,
        resolution: model.resolution,
        licence: model.licence,
        sha256: model.manifest_sha256,
        size_bytes: model.size_bytes,
        classes: model.classes,
        targets: model.targets,
        identifiers: model.identifiers,
        imported: model.owner_id.is_some(),
        facts: model.facts,
        created_at: model.created_at,
    }
}

/// Every model that an account sees, newest first.
pub async fn list(
    app: &App,
    viewer: OrganisationId,
    paging: &Paging,
) -> Result<Page<BaseModel>, Error> {
    let after = paging.after::<ModelId>()?;
    let models = app.store().list_base_models(viewer).await?;
    let models = models
        .into_iter()
        .filter(|model| after.is_none_or(|after| model.id < after));
    Ok(paging.page(models.map(view).collect(), |model| model.id))
}

/// One model that an account sees.
pub async fn find(app: &App, viewer: OrganisationId, id: ModelId) -> Result<BaseModel, Error> {
    app.store()
        .find_base_model(viewer, id)
        .await?
        .map(view)
        .ok_or(Error::NotFound)
}

/// Deletes a model that this owner imported.
pub async fn delete(app: &App, owner: OrganisationId, id: ModelId) -> Result<(), Error> {
    let model = find(app, owner, id).await?;
    if !model.imported {
        return Err(Error::Forbidden(
            "This model came with the server and is everybody's.".into(),
        ));
    }
    let files = app.store().base_model_files(id).await?;
    if !app.store().delete_base_model(owner, id, app.now()).await? {
        return Err(Error::NotFound);
    }
    blobs::forget(app, files.iter().map(|file| file.sha256.as_str())).await;
    Ok(())
}

/// Puts the embedded model and encoder into the artifact store and the ledger; quick when they
/// are there already.
pub async fn register_embedded(app: &App) -> Result<BaseModel, Error> {
    let files = embedded::files(app).await?;
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let new = NewBaseModel {
        name: "PersGuard demo world".into(),
        family: "tiny".into(),
        resolution: embedded::RESOLUTION,
        licence: "MIT OR Apache-2.0".into(),
        manifest_sha256: manifest(&files),
        classes: words(demo::CLASSES),
        targets: words(demo::TARGETS),
        identifiers: words(demo::IDENTIFIERS),
        facts: None,
        files,
    };
    let model = app.store().register_base_model(&new, app.now()).await?;
    Ok(view(model))
}

/// SHA-256 over the sorted list of the files' names and hashes.
pub(crate) fn manifest(files: &[BaseModelFile]) -> String {
    let sorted: BTreeMap<_, _> = files
        .iter()
        .map(|file| (&file.name, &file.sha256))
        .collect();
    let mut digest = Sha256::new();
    for (name, sha256) in sorted {
        digest.update(format!("{sha256}  {name}\n"));
    }
    hex::encode(digest.finalize())
}
