//! Cleaned pictures of protected sets.

use shared::{ImageId, UserId, image::ProtectedImage};
use store::ImageRecord;

use super::{App, blobs};
use crate::error::Error;

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

/// An image of this owner.
pub async fn find(app: &App, owner: UserId, id: ImageId) -> Result<ImageRecord, Error> {
    app.store()
        .find_image(owner, id)
        .await?
        .ok_or(Error::NotFound)
}

/// Deletes an image of a draft, and its picture.
pub async fn delete(app: &App, owner: UserId, id: ImageId) -> Result<(), Error> {
    let image = find(app, owner, id).await?;
    if !app.store().delete_image(owner, id).await? {
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
