//! Patches: cleaned like protected images, kept by hash, bounded in number.

use shared::{OrganisationId, PatchId, page::Page, patch::PatchImage};
use store::{NewPatch, PatchRecord};

use super::{App, blobs, images, paging::Paging};
use crate::{error::Error, images::child::Purpose};

fn view(patch: PatchRecord) -> PatchImage {
    PatchImage {
        url: format!("/v1/patches/{}/content", patch.id),
        id: patch.id,
        width: patch.width,
        height: patch.height,
        size_bytes: patch.size_bytes,
        sha256: patch.sha256,
        created_at: patch.created_at,
    }
}

/// Cleans a picture and keeps it; the same picture is the same patch.
pub async fn create(
    app: &App,
    owner: OrganisationId,
    media_type: String,
    bytes: Vec<u8>,
) -> Result<PatchImage, Error> {
    let image = images::decode(app, &bytes, &media_type, Purpose::Patch).await?;
    let _publishing = app.publishing().await?;
    let new = NewPatch {
        width: image.width,
        height: image.height,
        sha256: blobs::keep(app, &image.png).await?,
        size_bytes: image.png.len() as u64,
    };
    let patch = app.store().create_patch(owner, new, app.now()).await?;
    Ok(view(patch))
}

/// The owner's patches, newest first.
pub async fn list(
    app: &App,
    owner: OrganisationId,
    paging: &Paging,
) -> Result<Page<PatchImage>, Error> {
    let patches = app
        .store()
        .list_patches(owner, paging.after()?, paging.rows())
        .await?;
    Ok(paging.page(patches.into_iter().map(view).collect(), |patch| patch.id))
}

/// A patch of this owner.
pub async fn find(app: &App, owner: OrganisationId, id: PatchId) -> Result<PatchImage, Error> {
    let patch = app.store().find_patch(owner, id).await?;
    patch.map(view).ok_or(Error::NotFound)
}

/// Deletes a patch that no job needs any more, and its picture.
pub async fn delete(app: &App, owner: OrganisationId, id: PatchId) -> Result<(), Error> {
    let patch = find(app, owner, id).await?;
    if !app.store().delete_patch(owner, id, app.now()).await? {
        return Err(Error::NotFound);
    }
    blobs::forget(app, [patch.sha256.as_str()].into_iter()).await;
    Ok(())
}
