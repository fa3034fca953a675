//! Uploads: announced, received, cleaned, and gone but for the clean picture.

use std::time::Duration;

use artifacts::STEP;
use shared::{
    ImageId, OrganisationId, SetId, Timestamp, UploadId,
    limits::MAX_IMAGE_BYTES,
    upload::{ARCHIVE_MEDIA_TYPE, CreateUpload, Upload, UploadStatus, clean_file_name},
};
use store::{ImageLooks, NewFile, NewImage, NewUpload, UploadRecord};
use tracing::trace;

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

/// Pauses before looking again for bytes that somebody else may be taking in.
const LOOKS: [Duration; 3] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::ZERO,
];

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
    view(app, find_record(app, owner, id).await?).await
}

/// Cleans the received file and makes it an image of its set; repeating it gives the same answer, also at the same time.
pub async fn complete(app: &App, owner: OrganisationId, id: UploadId) -> Result<Upload, Error> {
    let completed = match take_in(app, find_record(app, owner, id).await?).await {
        Ok(completed) => completed,
        Err(error) => {
            let now = find_record(app, owner, id).await?;
            // Who came second finds its bytes gone, and the upload completed.
            if now.status != UploadStatus::Completed {
                return Err(error);
            }
            now
        }
    };
    view(app, completed).await
}

async fn find_record(
    app: &App,
    owner: OrganisationId,
    id: UploadId,
) -> Result<UploadRecord, Error> {
    let upload = app.store().find_upload(owner, id).await?;
    upload.ok_or(Error::NotFound)
}

/// Makes an object of what was sent past this server, unless somebody else is doing that.
async fn receive(app: &App, upload: &UploadRecord) -> Result<(), Error> {
    let (sha256, size) = (&upload.sha256, upload.size_bytes);
    for pause in LOOKS {
        if blobs::accept_upload(app, upload.id, sha256, size).await? {
            return Ok(());
        }
        let now = find_record(app, upload.owner_id, upload.id).await?;
        if now.status != UploadStatus::Pending {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
    }
    Err(not_received())
}

async fn take_in(app: &App, upload: UploadRecord) -> Result<UploadRecord, Error> {
    match upload.status {
        UploadStatus::Completed => return Ok(upload),
        UploadStatus::Pending => receive(app, &upload).await?,
        UploadStatus::Received => {}
    }
    let completed = if upload.media_type == ARCHIVE_MEDIA_TYPE {
        app.store().begin_archive(upload.id).await?;
        trace!(target: STEP, step = "archive begun");
        unpacking::run(app, &upload).await.map_err(gone)?
    } else {
        let bytes = blobs::read(app, &upload.sha256, MAX_IMAGE_BYTES);
        let bytes = bytes.await.map_err(gone)?;
        let image = images::decode(app, &bytes, &upload.media_type, Purpose::Image).await?;
        let (owner, id) = (upload.owner_id, upload.id);
        publish(app, owner, &image, |new| {
            app.store().complete_upload(owner, id, new, app.now())
        })
        .await?
    };
    trace!(target: STEP, step = "upload completed");
    // The upload may hold a position or a thumbnail of more than the picture shows.
    blobs::forget(app, [upload.sha256.as_str()].into_iter()).await;
    Ok(completed)
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

/// A picture, sealed; under the caller's lock for publishing.
async fn sealed(app: &App, owner: OrganisationId, image: &CleanImage) -> Result<NewImage, Error> {
    Ok(NewImage {
        width: image.width,
        height: image.height,
        content_sha256: secret::sha256_hex(&image.png),
        stored: images::store(app, owner, &image.png, Some(&image.look.thumbnail)).await?,
        looks: ImageLooks {
            blur_hash: Some(image.look.blur_hash.clone()),
            difference_hash: Some(image.look.difference_hash),
            sharpness: Some(image.look.sharpness),
            second_subject: Some(image.look.second_subject),
        },
        content_media_type: "image/png".into(),
        content_size_bytes: image.png.len() as u64,
        exif_removed: image.had_exif,
        gps_removed: image.had_gps,
    })
}

/// Seals a picture and names it by `name`, which says what there is then; nobody removes its objects in between.
async fn publish<T, F>(
    app: &App,
    owner: OrganisationId,
    image: &CleanImage,
    name: impl Fn(NewImage) -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<Option<T>, store::Error>>,
{
    let _publishing = app.publishing().await?;
    let mut more = SEALINGS;
    loop {
        more -= 1;
        match name(sealed(app, owner, image).await?).await {
            // Keys were renewed between sealing and here: again, with the one that counts now.
            Err(store::Error::KeyReplaced) if more > 0 => {}
            named => return named?.ok_or(Error::NotFound),
        }
    }
}

/// Adds a picture at hand to a draft, cleaned as an uploaded one; it is nowhere kept open.
pub(crate) async fn add(
    app: &App,
    owner: OrganisationId,
    set: SetId,
    (filename, media_type): (&str, &str),
    bytes: &[u8],
) -> Result<ImageId, Error> {
    add_file(app, (owner, set, None), (filename, media_type), bytes).await
}

/// Adds a picture out of an uploaded archive to the archive's draft, the same way.
pub(super) async fn add_unpacked(
    app: &App,
    archive: &UploadRecord,
    (filename, media_type): (&str, &str),
    bytes: &[u8],
) -> Result<ImageId, Error> {
    let place = (
        archive.owner_id,
        archive.set_id,
        Some(archive.sha256.clone()),
    );
    add_file(app, place, (filename, media_type), bytes).await
}

async fn add_file(
    app: &App,
    (owner, set_id, archive_sha256): (OrganisationId, SetId, Option<String>),
    (filename, media_type): (&str, &str),
    bytes: &[u8],
) -> Result<ImageId, Error> {
    let image = images::decode(app, bytes, media_type, Purpose::Image).await?;
    let file = NewFile {
        set_id,
        filename: clean_file_name(filename).unwrap_or_default(),
        sha256: secret::sha256_hex(bytes),
        archive_sha256,
    };
    publish(app, owner, &image, |new| {
        app.store().add_image(owner, file.clone(), new, app.now())
    })
    .await
}
