//! Uploads: announced, received, cleaned, and gone but for the clean picture.

use shared::{
    ImageId, OrganisationId, SetId, Timestamp, UploadId,
    limits::MAX_IMAGE_BYTES,
    upload::{ARCHIVE_MEDIA_TYPE, CreateUpload, Upload, UploadStatus, clean_file_name},
};
use store::{ImageLooks, NewImage, NewUpload, UploadRecord};

use super::{App, blobs, images, unpacking};
use crate::{
    error::Error,
    images::{CleanImage, child::Purpose},
    secret,
};

/// How long an announced upload is waited for.
const PATIENCE_MILLISECONDS: i64 = 24 * 3_600_000;

/// How often a picture is sealed while its organisation's keys are being renewed.
const SEALINGS: u32 = 3;

async fn view(app: &App, upload: UploadRecord) -> Result<Upload, Error> {
    let image = match upload.image_id {
        Some(id) => {
            let set = app
                .store()
                .list_images(upload.owner_id, upload.set_id)
                .await?;
            let image = set.iter().find(|image| image.id == id);
            image.map(|image| images::view(image, &set))
        }
        None => None,
    };
    let (sha256, size) = (&upload.sha256, upload.size_bytes);
    let signed = blobs::upload_request(app, upload.id, sha256, size).await?;
    Ok(Upload {
        id: upload.id,
        status: upload.status,
        url: signed.url,
        headers: signed.headers,
        expires_at: blobs::url_expiry(app),
        image,
        unpacked: upload.unpacked,
    })
}

/// Announces one file.
pub async fn create(
    app: &App,
    owner: OrganisationId,
    request: &CreateUpload,
) -> Result<Upload, Error> {
    Error::unless_valid(request.validate())?;
    announce(app, owner, request).await
}

async fn announce(
    app: &App,
    owner: OrganisationId,
    request: &CreateUpload,
) -> Result<Upload, Error> {
    let now = app.now();
    let expires_at = Timestamp::from_milliseconds(now.milliseconds() + PATIENCE_MILLISECONDS);
    let new = NewUpload {
        set_id: request.protected_set_id,
        filename: clean_file_name(&request.filename).unwrap_or_default(),
        media_type: request.media_type.clone(),
        size_bytes: request.size_bytes,
        sha256: request.sha256.clone(),
        expires_at,
    };
    let upload = app
        .store()
        .create_upload(owner, new, now)
        .await?
        .ok_or(Error::NotFound)?;
    view(app, upload).await
}

/// An upload of this owner with a fresh address.
pub async fn find(app: &App, owner: OrganisationId, id: UploadId) -> Result<Upload, Error> {
    let upload = app
        .store()
        .find_upload(owner, id)
        .await?
        .ok_or(Error::NotFound)?;
    view(app, upload).await
}

/// Cleans the received file and makes it an image of its set; repeating it gives the same answer.
pub async fn complete(app: &App, owner: OrganisationId, id: UploadId) -> Result<Upload, Error> {
    let upload = app
        .store()
        .find_upload(owner, id)
        .await?
        .ok_or(Error::NotFound)?;
    match upload.status {
        UploadStatus::Completed => return view(app, upload).await,
        UploadStatus::Pending => {
            let (sha256, size) = (&upload.sha256, upload.size_bytes);
            if !blobs::accept_upload(app, id, sha256, size).await? {
                return Err(not_received());
            }
        }
        UploadStatus::Received => {}
    }
    if upload.media_type == ARCHIVE_MEDIA_TYPE {
        let completed = unpacking::run(app, &upload).await.map_err(gone)?;
        blobs::forget(app, [upload.sha256.as_str()].into_iter()).await;
        return view(app, completed).await;
    }
    let bytes = blobs::read(app, &upload.sha256, MAX_IMAGE_BYTES)
        .await
        .map_err(gone)?;
    let image = images::decode(app, &bytes, &upload.media_type, Purpose::Image).await?;
    let completed = publish(app, owner, id, &image).await?;
    // The upload may hold a position or a thumbnail of more than the picture shows.
    blobs::forget(app, [upload.sha256.as_str()].into_iter()).await;
    view(app, completed).await
}

/// The collector was faster than a client that came back days later.
fn gone(error: Error) -> Error {
    match error {
        Error::NotFound => not_received(),
        other => other,
    }
}

fn not_received() -> Error {
    Error::Conflict("The file has not arrived yet. Send it to the upload's address first.".into())
}

async fn publish(
    app: &App,
    owner: OrganisationId,
    id: UploadId,
    image: &CleanImage,
) -> Result<UploadRecord, Error> {
    let _publishing = app.publishing().read().await;
    let mut more = SEALINGS;
    loop {
        more -= 1;
        let new = NewImage {
            width: image.width,
            height: image.height,
            content_sha256: secret::sha256_hex(&image.png),
            stored: images::store(app, owner, &image.png, Some(&image.look.thumbnail)).await?,
            looks: ImageLooks {
                blur_hash: Some(image.look.blur_hash.clone()),
                difference_hash: Some(image.look.difference_hash),
                sharpness: Some(image.look.sharpness),
            },
            content_media_type: "image/png".into(),
            content_size_bytes: image.png.len() as u64,
            exif_removed: image.had_exif,
            gps_removed: image.had_gps,
        };
        match app.store().complete_upload(owner, id, new, app.now()).await {
            // Keys were renewed between sealing and here: again, with the one that counts now.
            Err(store::Error::KeyReplaced) if more > 0 => {}
            completed => return completed?.ok_or(Error::NotFound),
        }
    }
}

/// Adds a picture at hand to a draft on the same path as an uploaded one.
pub(crate) async fn add(
    app: &App,
    owner: OrganisationId,
    set: SetId,
    (filename, media_type): (&str, &str),
    bytes: &[u8],
) -> Result<Option<ImageId>, Error> {
    let request = CreateUpload {
        protected_set_id: set,
        filename: filename.to_owned(),
        size_bytes: bytes.len() as u64,
        sha256: secret::sha256_hex(bytes),
        media_type: media_type.to_owned(),
    };
    let upload = announce(app, owner, &request).await?;
    blobs::keep(app, bytes).await?;
    app.store().mark_upload_received(upload.id).await?;
    let completed = Box::pin(complete(app, owner, upload.id)).await?;
    Ok(completed.image.map(|image| image.id))
}
