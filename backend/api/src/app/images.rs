//! Cleaned pictures of protected sets.

use shared::{ImageId, OrganisationId, image::ProtectedImage};
use store::ImageRecord;

use super::{App, blobs};
use crate::{
    error::Error,
    images::{CleanImage, Refusal},
};

/// Where the owner fetches a picture.
pub(crate) fn url(id: ImageId) -> String {
    format!("/v1/images/{id}/content")
}

pub(crate) fn view(image: ImageRecord) -> ProtectedImage {
    ProtectedImage {
        url: url(image.id),
        id: image.id,
        filename: image.filename,
        width: image.width,
        height: image.height,
        size_bytes: image.content_size_bytes,
        sha256: image.sha256,
        exif_removed: image.exif_removed,
        gps_removed: image.gps_removed,
        created_at: image.created_at,
    }
}

/// Runs a decoder beside the requests; few of them at once, because each may take much memory.
pub(crate) async fn decode(
    app: &App,
    bytes: Vec<u8>,
    media_type: String,
    clean: fn(&[u8], &str) -> Result<CleanImage, Refusal>,
) -> Result<CleanImage, Error> {
    let _permit = app.decoders().acquire().await.map_err(Error::internal)?;
    tokio::task::spawn_blocking(move || clean(&bytes, &media_type))
        .await
        .map_err(Error::internal)?
        .map_err(|refusal| match refusal {
            wrong @ Refusal::WrongType { .. } => Error::UnsupportedMediaType(wrong.to_string()),
            Refusal::Undecodable(detail) => Error::UndecodableImage(detail),
        })
}

/// An image of this owner.
pub async fn find(app: &App, owner: OrganisationId, id: ImageId) -> Result<ImageRecord, Error> {
    app.store()
        .find_image(owner, id)
        .await?
        .ok_or(Error::NotFound)
}

/// Deletes an image of a draft, and its picture.
pub async fn delete(app: &App, owner: OrganisationId, id: ImageId) -> Result<(), Error> {
    let image = find(app, owner, id).await?;
    if !app.store().delete_image(owner, id, app.now()).await? {
        return Err(Error::NotFound);
    }
    forget_content(app, &[image]).await;
    Ok(())
}

/// Removes the pictures of deleted images, unless another image is the same.
pub(crate) async fn forget_content(app: &App, images: &[ImageRecord]) {
    blobs::forget(
        app,
        images.iter().map(|image| image.content_sha256.as_str()),
    )
    .await;
}
