//! Protected sets: drafts, their images, the attestation that seals them.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use shared::{
    OrganisationId, SetId,
    image::ProtectedImage,
    page::Page,
    protected_set::{Attestation, CreateAttestation, CreateProtectedSet, ProtectedSet},
};
use store::{ImageRecord, SealSet, SetRecord};

use super::{App, images, paging::Paging};
use crate::error::Error;

fn view(set: SetRecord, images: Vec<ProtectedImage>) -> ProtectedSet {
    ProtectedSet {
        id: set.id,
        name: set.name,
        status: set.status,
        images,
        attestation: set.attestation,
        manifest_sha256: set.manifest_sha256,
        created_at: set.created_at,
    }
}

/// Starts a draft.
pub async fn create(
    app: &App,
    owner: OrganisationId,
    request: &CreateProtectedSet,
) -> Result<ProtectedSet, Error> {
    Error::unless_valid(request.validate())?;
    let set = app
        .store()
        .create_set(owner, request.name.trim(), app.now())
        .await?;
    Ok(view(set, Vec::new()))
}

/// The owner's sets with their images, newest first.
pub async fn list(
    app: &App,
    owner: OrganisationId,
    paging: &Paging,
) -> Result<Page<ProtectedSet>, Error> {
    let after = paging.after::<SetId>()?;
    let sets = app.store().list_sets(owner, after, paging.rows()).await?;
    let ids: Vec<SetId> = sets.iter().map(|set| set.id).collect();
    let mut images: HashMap<SetId, Vec<ImageRecord>> = HashMap::new();
    for image in app.store().list_images_of_sets(owner, &ids).await? {
        images.entry(image.set_id).or_default().push(image);
    }
    let sets = sets.into_iter().map(|set| {
        let images = images.remove(&set.id).unwrap_or_default();
        view(set, images::view_all(&images))
    });
    Ok(paging.page(sets.collect(), |set| set.id))
}

/// A set of this owner with its images.
pub async fn find(app: &App, owner: OrganisationId, id: SetId) -> Result<ProtectedSet, Error> {
    let set = app
        .store()
        .find_set(owner, id)
        .await?
        .ok_or(Error::NotFound)?;
    let images = app.store().list_images(owner, id).await?;
    Ok(view(set, images::view_all(&images)))
}

/// Deletes a draft; the collector removes its pictures from the store.
pub async fn delete(app: &App, owner: OrganisationId, set: &ProtectedSet) -> Result<(), Error> {
    let files = app.store().list_images(owner, set.id).await?;
    if !app
        .store()
        .delete_draft_set(owner, set.id, app.now())
        .await?
    {
        return Err(Error::NotFound);
    }
    images::forget_content(app, &files).await;
    Ok(())
}

/// Seals a draft under a declaration.
pub async fn seal(
    app: &App,
    owner: OrganisationId,
    set: ProtectedSet,
    declaration: CreateAttestation,
) -> Result<ProtectedSet, Error> {
    Error::unless_valid(declaration.validate())?;
    let attestation = Attestation {
        declaration,
        signed_at: app.now(),
    };
    let images = app.store().list_images(owner, set.id).await?;
    let seal = SealSet {
        manifest_sha256: manifest(&images, &attestation)?,
        images: images.iter().map(|image| image.id).collect(),
        attestation,
    };
    let sealed = app
        .store()
        .seal_set(owner, set.id, seal)
        .await?
        .ok_or(Error::NotFound)?;
    Ok(view(sealed, images::view_all(&images)))
}

/// Binds the declaration to the pictures that a job will see.
fn manifest(images: &[ImageRecord], attestation: &Attestation) -> Result<String, Error> {
    let mut hashes: Vec<&str> = images
        .iter()
        .map(|image| image.content_sha256.as_str())
        .collect();
    hashes.sort_unstable();
    let mut digest = Sha256::new();
    for hash in hashes {
        digest.update(hash);
        digest.update("\n");
    }
    digest.update(serde_json::to_vec(attestation).map_err(Error::internal)?);
    Ok(hex::encode(digest.finalize()))
}
