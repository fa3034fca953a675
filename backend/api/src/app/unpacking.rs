//! An archive of pictures into a draft: each file on the path of a single upload, each with its own fate.

use std::{collections::HashMap, io::SeekFrom, time::Duration};

use artifacts::STEP;
use shared::{
    ImageId,
    limits::{MAX_ARCHIVE_BYTES, MAX_IMAGES},
    upload::{LeftOut, Unpacked, UploadStatus},
};
use store::{Lock, UploadRecord};
use tokio::{
    io::{AsyncReadExt, AsyncSeekExt},
    sync::mpsc,
};
use tracing::trace;

use super::{App, blobs, uploads};
use crate::{
    error::Error,
    images::archive::{ArchiveError, Packed, unpack},
    secret,
};

/// Between two looks whether another server is done with an archive.
const PAUSE: Duration = Duration::from_millis(500);

/// Takes every picture of a received archive, or waits for the server that does; safe to repeat.
pub(super) async fn run(app: &App, upload: &UploadRecord) -> Result<UploadRecord, Error> {
    let (owner, id) = (upload.owner_id, upload.id);
    loop {
        if let Some(done) = run_alone(app, upload).await? {
            return Ok(done);
        }
        tokio::time::sleep(PAUSE).await;
        let now = app.store().find_upload(owner, id).await?;
        let now = now.ok_or(Error::NotFound)?;
        if now.status == UploadStatus::Completed {
            return Ok(now);
        }
    }
}

/// `None` where another server of the same database works on it.
async fn run_alone(app: &App, upload: &UploadRecord) -> Result<Option<UploadRecord>, Error> {
    let _seat = app.archives().acquire().await.map_err(Error::internal)?;
    let Some(held) = app.store().try_hold(Lock::Archive(upload.id)).await? else {
        return Ok(None);
    };
    let done = Box::pin(held.during(unless_completed(app, upload))).await;
    let _ = held.release().await;
    let lost = || Error::internal("the lock of an archive was lost: another server may have it");
    done.ok_or_else(lost)?.map(Some)
}

/// Whoever had the lock before may have done it all.
async fn unless_completed(app: &App, upload: &UploadRecord) -> Result<UploadRecord, Error> {
    let now = app.store().find_upload(upload.owner_id, upload.id).await?;
    match now.ok_or(Error::NotFound)? {
        now if now.status == UploadStatus::Completed => Ok(now),
        _ => take_all(app, upload).await,
    }
}

/// Takes every picture; what is in the set stays there.
async fn take_all(app: &App, upload: &UploadRecord) -> Result<UploadRecord, Error> {
    let archive = spool(app, &upload.sha256).await?;
    trace!(target: STEP, step = "archive opened");
    // One at a time: a file is unpacked while the one before is decoded, and never more than that.
    let (found, mut files) = mpsc::channel(1);
    let reading = tokio::task::spawn_blocking(move || {
        unpack(archive, |file| found.blocking_send(file).is_ok())
    });
    let mut known = pictures(app, upload).await?;
    let mut unpacked = Unpacked::default();
    while let Some(file) = files.recv().await {
        take(app, upload, file, &mut known, &mut unpacked).await?;
    }
    let read = reading.await.map_err(Error::internal)?;
    if let Err(error) = read {
        if unpacked.added.is_empty() {
            return Err(refused(&error));
        }
        unpacked.left_out.push(LeftOut {
            filename: upload.filename.clone(),
            detail: error.to_string(),
        });
    }
    let (owner, id) = (upload.owner_id, upload.id);
    let completed = app
        .store()
        .complete_archive(owner, id, &unpacked, app.now());
    completed.await?.ok_or(Error::NotFound)
}

fn refused(error: &ArchiveError) -> Error {
    Error::UndecodableImage(error.to_string())
}

/// The archive as a file without a name: it can be read from its end, and is gone with the process.
async fn spool(app: &App, sha256: &str) -> Result<std::fs::File, Error> {
    let object = blobs::open(app, sha256, None).await?;
    if object.size_bytes > MAX_ARCHIVE_BYTES {
        return Err(Error::TooLarge);
    }
    let folder = app.config().data_dir.clone();
    let file = tokio::task::spawn_blocking(move || tempfile::tempfile_in(folder)).await;
    let file = file.map_err(Error::internal)?;
    let file = file.map_err(|error| Error::StorageUnavailable(error.to_string()))?;
    let mut file = tokio::fs::File::from_std(file);
    let mut limited = object.reader.take(MAX_ARCHIVE_BYTES);
    let failed = |error: std::io::Error| Error::StorageUnavailable(error.to_string());
    tokio::io::copy(&mut limited, &mut file)
        .await
        .map_err(failed)?;
    file.seek(SeekFrom::Start(0)).await.map_err(failed)?;
    Ok(file.into_std().await)
}

/// Pictures of the set by the hash of what was uploaded.
async fn pictures(app: &App, upload: &UploadRecord) -> Result<HashMap<String, ImageId>, Error> {
    let images = app
        .store()
        .list_images(upload.owner_id, upload.set_id)
        .await?;
    Ok(images
        .into_iter()
        .map(|image| (image.sha256, image.id))
        .collect())
}

async fn take(
    app: &App,
    upload: &UploadRecord,
    file: Packed,
    known: &mut HashMap<String, ImageId>,
    unpacked: &mut Unpacked,
) -> Result<(), Error> {
    let (name, media_type, bytes) = match file {
        Packed::LeftOut { name, reason } => {
            unpacked.left_out.push(LeftOut {
                filename: name,
                detail: reason,
            });
            return Ok(());
        }
        Packed::Picture {
            name,
            media_type,
            bytes,
        } => (name, media_type, bytes),
    };
    let sha256 = secret::sha256_hex(&bytes);
    if let Some(id) = known.get(&sha256) {
        if !unpacked.added.contains(id) {
            unpacked.added.push(*id);
        }
        return Ok(());
    }
    let added = if known.len() < MAX_IMAGES {
        uploads::add_unpacked(app, upload, (&name, media_type), &bytes).await
    } else {
        Err(store::Error::SetFull.into()) // not worth decoding
    };
    match added {
        Ok(id) => {
            trace!(target: STEP, step = "picture unpacked");
            known.insert(sha256, id);
            unpacked.added.push(id);
        }
        // A fault of ours is none of the file: the whole is tried again.
        Err(error @ (Error::Internal(_) | Error::StorageUnavailable(_))) => return Err(error),
        Err(error) => {
            // Somebody may have added the same picture meanwhile.
            *known = pictures(app, upload).await?;
            match known.get(&sha256) {
                Some(id) => unpacked.added.push(*id),
                None => unpacked.left_out.push(LeftOut {
                    filename: name,
                    detail: error.to_string(),
                }),
            }
        }
    }
    Ok(())
}

/// Goes on with every archive that a stopped or killed server was unpacking.
pub(crate) async fn resume(app: App) {
    let stop = app.stop().clone();
    tokio::select! {
        () = resume_all(&app) => {}
        () = stop.cancelled() => {}
    }
}

async fn resume_all(app: &App) {
    let begun = match app.store().any_begun_archives().await {
        Ok(begun) => begun,
        Err(error) => return tracing::error!(%error, "archives were left as they are"),
    };
    for upload in begun {
        let (id, owner) = (upload.id, upload.owner_id);
        match app.store().try_hold(Lock::Archive(id)).await {
            Ok(None) => continue, // another server is at it
            Ok(Some(free)) => {
                let _ = free.release().await;
            }
            Err(error) => {
                tracing::warn!(upload.id = %id, %error, "nobody knows who unpacks an archive");
            }
        }
        match uploads::complete(app, owner, id).await {
            Ok(_) => tracing::info!(upload.id = %id, "the rest of an archive was unpacked"),
            // Its owner is told the same when they ask again, until the upload expires.
            Err(error) => tracing::warn!(upload.id = %id, %error, "an archive was not unpacked"),
        }
    }
}
