//! Cleaned pictures of protected sets: sealed in the store, opened for whoever may see them.

use shared::{
    ImageId, OrganisationId,
    image::{GOOD_SIDE, ImageHint, ImageHintCode, ProtectedImage},
};
use store::{ImageRecord, StoredImage};

use super::{App, blobs, vault};
use crate::{
    error::Error,
    images::{
        CleanImage, Refusal,
        child::{self, DecodeError, Purpose},
        distance,
    },
    secret,
};

/// Largest object with a picture in it.
const MAX_STORED_BYTES: u64 = 16 << 20;
/// Twins differ in at most so many of 64 places of their difference hash.
const TWIN_DISTANCE: u32 = 4;
/// Below this variance of the Laplacian a picture of thumbnail size has hardly any edges.
const SOFT: u32 = 40;
/// From this percentage of the first one's area the second is a subject, too, and not a toy beside it.
pub(crate) const LIKE_SIZE: u32 = 40;

/// Where the owner fetches a picture.
pub(crate) fn url(id: ImageId) -> String {
    format!("/v1/images/{id}/content")
}

fn hint(code: ImageHintCode, detail: String, other_id: Option<ImageId>) -> ImageHint {
    ImageHint {
        code,
        detail,
        other_id,
    }
}

/// What its owner may want to know of a picture, seen beside the others of its set.
fn hints(image: &ImageRecord, set: &[ImageRecord]) -> Vec<ImageHint> {
    let mut hints = Vec::new();
    let side = image.width.min(image.height);
    if side < GOOD_SIDE {
        let detail = format!(
            "Its shorter side has {side} pixels. Models of {GOOD_SIDE} pixels are trained on an enlarged copy; send the \
             original if you have it."
        );
        hints.push(hint(ImageHintCode::Small, detail, None));
    }
    if image
        .looks
        .sharpness
        .is_some_and(|sharpness| sharpness < SOFT)
    {
        let detail =
            "It has hardly any sharp edges. A picture in focus says more about the subject.";
        hints.push(hint(ImageHintCode::Blurred, detail.into(), None));
    }
    if image
        .looks
        .second_subject
        .is_some_and(|percent| percent >= LIKE_SIZE)
    {
        let detail = "It may show more than one subject: two separate areas of like size stand out. If so, crop it to the \
             one to protect.";
        hints.push(hint(ImageHintCode::SeveralSubjects, detail.into(), None));
    }
    hints.extend(twin(image, set).map(|other| {
        let detail = format!(
            "It looks like {}: the two differ in few places of a small copy. Two alike count as one picture for an \
             attacker; replace one.",
            other.filename
        );
        hint(ImageHintCode::NearDuplicate, detail, Some(other.id))
    }));
    hints
}

/// The first picture of the set, before this one, that looks the same.
fn twin<'a>(image: &ImageRecord, set: &'a [ImageRecord]) -> Option<&'a ImageRecord> {
    let own = image.looks.difference_hash?;
    set.iter()
        .take_while(|other| other.id != image.id)
        .find(|other| {
            let hash = other.looks.difference_hash;
            hash.is_some_and(|hash| distance(hash, own) <= TWIN_DISTANCE)
        })
}

/// A picture as its owner sees it, beside all pictures of its set, oldest first.
pub(crate) fn view(image: &ImageRecord, set: &[ImageRecord]) -> ProtectedImage {
    let thumbnail = match image.stored.thumbnail_sha256 {
        Some(_) => format!("/v1/images/{}/thumbnail", image.id),
        None => url(image.id),
    };
    ProtectedImage {
        url: url(image.id),
        thumbnail_url: thumbnail,
        blur_hash: image.looks.blur_hash.clone(),
        hints: hints(image, set),
        id: image.id,
        filename: image.filename.clone(),
        width: image.width,
        height: image.height,
        size_bytes: image.content_size_bytes,
        sha256: image.sha256.clone(),
        exif_removed: image.exif_removed,
        gps_removed: image.gps_removed,
        created_at: image.created_at,
    }
}

/// All pictures of one set as their owner sees them.
pub(crate) fn view_all(set: &[ImageRecord]) -> Vec<ProtectedImage> {
    set.iter().map(|image| view(image, set)).collect()
}

/// The name under which a picture is sealed.
fn picture_place(content_sha256: &str) -> String {
    format!("picture {content_sha256}")
}

/// The name under which its thumbnail is.
fn thumbnail_place(content_sha256: &str) -> String {
    format!("thumbnail {content_sha256}")
}

/// Seals a picture and its thumbnail and keeps them; under the caller's lock for publishing.
pub(crate) async fn store(
    app: &App,
    owner: OrganisationId,
    png: &[u8],
    thumbnail: Option<&[u8]>,
) -> Result<StoredImage, Error> {
    let sealer = vault::sealer(app, owner).await?;
    let content_sha256 = secret::sha256_hex(png);
    let picture = sealer.seal(&picture_place(&content_sha256), png)?;
    let thumbnail = match thumbnail {
        None => None,
        Some(bytes) => {
            let sealed = sealer.seal(&thumbnail_place(&content_sha256), bytes)?;
            Some(blobs::keep(app, &sealed).await?)
        }
    };
    Ok(StoredImage {
        key_version: Some(sealer.version),
        sha256: blobs::keep(app, &picture).await?,
        thumbnail_sha256: thumbnail,
    })
}

/// Which of the objects of a picture.
type Which = fn(&StoredImage) -> Option<&str>;

async fn unsealed(
    app: &App,
    image: &ImageRecord,
    which: Which,
    place: &str,
) -> Result<Vec<u8>, Error> {
    match unsealed_once(app, image, which, place).await {
        // It may have been sealed anew since its row was read: its object and its key are others then.
        Err(Error::NotFound | Error::Gone(_)) => {
            let now = app.store().find_any_image(image.id).await?;
            unsealed_once(app, &now.ok_or(Error::NotFound)?, which, place).await
        }
        read => read,
    }
}

async fn unsealed_once(
    app: &App,
    image: &ImageRecord,
    which: Which,
    place: &str,
) -> Result<Vec<u8>, Error> {
    let sha256 = which(&image.stored).ok_or(Error::NotFound)?;
    let bytes = blobs::read(app, sha256, MAX_STORED_BYTES).await?;
    match image.stored.key_version {
        None => Ok(bytes),
        Some(version) => vault::open(app, image.owner_id, version, (place, &bytes)).await,
    }
}

/// The cleaned picture, a PNG.
pub(crate) async fn read(app: &App, image: &ImageRecord) -> Result<Vec<u8>, Error> {
    let place = picture_place(&image.content_sha256);
    unsealed(app, image, |stored| Some(&stored.sha256), &place).await
}

/// Its thumbnail, a JPEG.
pub(crate) async fn read_thumbnail(app: &App, image: &ImageRecord) -> Result<Vec<u8>, Error> {
    let place = thumbnail_place(&image.content_sha256);
    let which: Which = |stored| stored.thumbnail_sha256.as_deref();
    unsealed(app, image, which, &place).await
}

/// Cleans a picture in a process of its own; few of them at once, because each may take much memory.
pub(crate) async fn decode(
    app: &App,
    bytes: &[u8],
    media_type: &str,
    purpose: Purpose,
) -> Result<CleanImage, Error> {
    let _permit = app.decoders().acquire().await.map_err(Error::internal)?;
    let program = match &app.config().decoder {
        Some(program) => program.clone(),
        None => std::env::current_exe().map_err(Error::internal)?,
    };
    child::ask(&program, bytes, media_type, purpose)
        .await
        .map_err(|error| match error {
            DecodeError::Refused(wrong @ Refusal::WrongType { .. }) => {
                Error::UnsupportedMediaType(wrong.to_string())
            }
            DecodeError::Refused(Refusal::Undecodable(detail)) => Error::UndecodableImage(detail),
            DecodeError::Failed(error) => Error::internal(error),
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
    blobs::forget(app, images.iter().flat_map(|image| image.stored.hashes())).await;
}
