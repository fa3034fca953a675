//! New keys, and everything sealed anew with them; safe to break off and to run again, beside a running server.

use artifacts::STEP;
use store::{ImageRecord, StoredImage};
use tracing::trace;

use super::{add, rewrap};
use crate::{
    app::{App, blobs, images},
    error::Error,
};

/// Pictures that are looked at together.
const BATCH: u64 = 50;

/// What a rotation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotated {
    /// Organisations that got a new key.
    pub data_keys: u64,
    /// Keys that were wrapped anew.
    pub rewrapped: u64,
    /// Pictures that were sealed anew.
    pub pictures: u64,
    /// Old keys that were destroyed.
    pub destroyed: u64,
}

/// Makes a new master key, a new key for every organisation, and seals every picture with it; old keys are destroyed
/// once nothing needs them. One at a time: another one would remove the keys that this one wraps with.
pub async fn rotate(app: &App) -> Result<Rotated, Error> {
    let mut rotated = Rotated::default();
    let alone = app.masters().alone().map_err(Error::internal)?;
    let _alone = alone.ok_or_else(|| {
        Error::Conflict("Keys are being renewed already. Wait until that is done.".into())
    })?;
    app.masters().add().map_err(Error::internal)?;
    trace!(target: STEP, step = "master key added");
    let master = app.masters().newest().map_err(Error::internal)?;
    for known in app.store().newest_data_keys().await? {
        add(app, known.owner_id, known.version + 1).await?;
        rotated.data_keys += 1;
        trace!(target: STEP, step = "key added");
    }
    reseal_all(app, &mut rotated).await?;
    rotated.destroyed = app.store().remove_unused_data_keys().await?;
    trace!(target: STEP, step = "old keys removed");
    for record in app.store().any_data_keys_not_under(&master.name).await? {
        rotated.rewrapped += u64::from(rewrap(app, &record, &master).await?);
        trace!(target: STEP, step = "key wrapped anew");
    }
    if app
        .store()
        .any_data_keys_not_under(&master.name)
        .await?
        .is_empty()
    {
        app.masters()
            .remove_before(&master.name)
            .map_err(Error::internal)?;
        trace!(target: STEP, step = "old master keys removed");
    }
    Ok(rotated)
}

/// Seals what an earlier version, or a rotation that broke off, left under an older key or under none.
pub(crate) async fn catch_up(app: App) {
    let mut rotated = Rotated::default();
    let stop = app.stop().clone();
    let sealed = tokio::select! {
        sealed = reseal_all(&app, &mut rotated) => sealed,
        () = stop.cancelled() => return,
    };
    if let Err(error) = sealed {
        tracing::error!(%error, cause = error.cause(), "pictures were left as they are");
    }
    if rotated.pictures > 0 {
        tracing::info!(
            pictures = rotated.pictures,
            "pictures were sealed with the newest keys"
        );
    }
}

async fn reseal_all(app: &App, rotated: &mut Rotated) -> Result<(), Error> {
    loop {
        let images = app.store().any_images_to_seal(BATCH).await?;
        let mut changed = 0;
        for image in &images {
            changed += u64::from(reseal(app, image).await?);
        }
        rotated.pictures += changed;
        // What did not change was changed by somebody else; a batch without any change would come again for ever.
        if changed == 0 {
            return Ok(());
        }
    }
}

async fn reseal(app: &App, image: &ImageRecord) -> Result<bool, Error> {
    let png = images::read(app, image).await?;
    let thumbnail = match image.stored.thumbnail_sha256 {
        Some(_) => Some(images::read_thumbnail(app, image).await?),
        None => None,
    };
    let publishing = app.publishing().await?;
    let to: StoredImage = images::store(app, image.owner_id, &png, thumbnail.as_deref()).await?;
    trace!(target: STEP, step = "sealed anew");
    let changed = app.store().reseal_image(image, &to).await?;
    drop(publishing);
    trace!(target: STEP, step = "row changed");
    blobs::forget(app, image.stored.hashes().chain(to.hashes())).await;
    trace!(target: STEP, step = "old objects removed");
    Ok(changed)
}
