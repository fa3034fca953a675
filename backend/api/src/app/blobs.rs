//! Bytes by hash: signed addresses, bounded reads, and the removal of what nobody needs.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
    time::Duration,
};

use artifacts::{
    Collected, Delivery, Folder, Grant, Method, Object, ObjectHash, ObjectInfo, Refusal,
    SignedRequest,
};
use serde::de::DeserializeOwned;
use shared::{ImageId, JobId, Timestamp, UploadId};
use store::ImageRecord;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{App, parts};
use crate::error::Error;

/// How long a signed address works.
pub(crate) const URL_MILLISECONDS: i64 = 3_600_000;
/// Objects younger than this are spared: a node uploads before a row names them.
const SPARED_MILLISECONDS: i64 = 2 * 24 * 3_600_000;
/// Objects that are removed between two chances for others to publish: three requests each where there is a bucket.
const REMOVED_AT_ONCE: usize = 50;

/// The hash in a row of ours.
fn known(sha256: &str) -> Result<ObjectHash, Error> {
    sha256.parse().map_err(Error::internal)
}

/// Refuses what is no hash in a request.
pub(crate) fn check_hash(sha256: &str, pointer: &str) -> Result<(), Error> {
    let hash = sha256.parse::<ObjectHash>();
    hash.map(|_| ())
        .map_err(|error| Error::field(pointer, "invalid_sha256", error.to_string()))
}

/// When an address signed now stops to work.
pub(crate) fn url_expiry(app: &App) -> Timestamp {
    app.later(URL_MILLISECONDS)
}

fn delivery(sha256: &str, size_bytes: u64, subject: String) -> Result<Delivery, Error> {
    Ok(Delivery {
        hash: known(sha256)?,
        size_bytes,
        subject,
    })
}

/// The upload of a person, as the artifact store names it.
fn of_upload(upload: UploadId, sha256: &str, size_bytes: u64) -> Result<Delivery, Error> {
    delivery(sha256, size_bytes, upload.to_string())
}

/// The output of an attempt, as the artifact store names it.
pub(super) fn of_attempt(
    job: JobId,
    token: i64,
    sha256: &str,
    size_bytes: u64,
) -> Result<Delivery, Error> {
    delivery(sha256, size_bytes, format!("{job}-{token}"))
}

pub(super) const LIFETIME: Duration = Duration::from_millis(URL_MILLISECONDS.unsigned_abs());

/// An address of this server, for a store that has none of its own.
pub(super) fn own(
    app: &App,
    method: Method,
    delivery: &Delivery,
    subject: String,
) -> SignedRequest {
    let url = app.signer().sign(&Grant {
        method,
        hash: delivery.hash,
        size_bytes: delivery.size_bytes,
        expires_at: url_expiry(app),
        subject,
    });
    SignedRequest {
        url,
        headers: BTreeMap::new(),
    }
}

/// An address to fetch an object.
pub(crate) async fn read_url(app: &App, sha256: &str, size_bytes: u64) -> Result<String, Error> {
    let object = delivery(sha256, size_bytes, String::new())?;
    let signed = app.artifacts().sign_get(object.hash, LIFETIME).await?;
    let signed = signed.unwrap_or_else(|| own(app, Method::Get, &object, String::new()));
    Ok(signed.url)
}

/// An address from which a node fetches a protected picture: past this server where it lies open, else through it.
pub(crate) async fn image_url(app: &App, image: &ImageRecord) -> Result<String, Error> {
    let (sha256, size_bytes) = (&image.content_sha256, image.content_size_bytes);
    if image.stored.key_version.is_none() {
        return read_url(app, sha256, size_bytes).await;
    }
    let object = delivery(sha256, size_bytes, String::new())?;
    Ok(own(app, Method::Get, &object, image.id.to_string()).url)
}

/// The sealed picture that a grant names.
pub(crate) async fn granted_image(app: &App, grant: &Grant) -> Result<Option<ImageRecord>, Error> {
    let Ok(id) = grant.subject.parse::<ImageId>() else {
        return Ok(None);
    };
    let image = app.store().find_any_image(id).await?;
    let image = image.filter(|image| image.content_sha256 == grant.hash.to_string());
    image.map(Some).ok_or(Error::NotFound)
}

/// A request that sends an output of an attempt.
pub(crate) async fn output_request(
    app: &App,
    job: JobId,
    token: i64,
    sha256: &str,
    size_bytes: u64,
) -> Result<SignedRequest, Error> {
    let output = of_attempt(job, token, sha256, size_bytes)?;
    let signed = app.artifacts().sign_put(&output, LIFETIME).await?;
    Ok(signed.unwrap_or_else(|| own(app, Method::Put, &output, String::new())))
}

/// A request by which a browser sends a probe of the store.
pub(crate) async fn probe_request(
    app: &App,
    sha256: &str,
    size_bytes: u64,
) -> Result<SignedRequest, Error> {
    let sent = delivery(sha256, size_bytes, format!("probe-{}", &sha256[..16]))?;
    let signed = app.artifacts().sign_put(&sent, LIFETIME).await?;
    Ok(signed.unwrap_or_else(|| own(app, Method::Put, &sent, String::new())))
}

/// A request that sends the bytes of an upload.
pub(crate) async fn upload_request(
    app: &App,
    upload: UploadId,
    sha256: &str,
    size_bytes: u64,
) -> Result<SignedRequest, Error> {
    let sent = of_upload(upload, sha256, size_bytes)?;
    let signed = app.artifacts().sign_put(&sent, LIFETIME).await?;
    Ok(signed.unwrap_or_else(|| own(app, Method::Put, &sent, upload.to_string())))
}

/// Whether the bytes of an upload were sent past this server; then they are an object now.
pub(crate) async fn accept_upload(
    app: &App,
    upload: UploadId,
    sha256: &str,
    size_bytes: u64,
) -> Result<bool, Error> {
    let sent = of_upload(upload, sha256, size_bytes)?;
    let accepted = app.artifacts().accept(&sent).await?;
    if accepted {
        app.store().mark_upload_received(upload).await?;
    }
    Ok(accepted)
}

/// Whether an output of an attempt is an object, now that it may have been sent past this server.
pub(crate) async fn has_output(
    app: &App,
    job: JobId,
    token: i64,
    sha256: &str,
    size_bytes: u64,
) -> Result<bool, Error> {
    let output = of_attempt(job, token, sha256, size_bytes)?;
    if size(app, sha256).await? == Some(size_bytes) {
        return Ok(true);
    }
    // Another try of the same node may have taken it in meanwhile, and with it what was sent.
    Ok(app.artifacts().accept(&output).await? || size(app, sha256).await? == Some(size_bytes))
}

/// Whether an object is there already; then it is young again, so that no collector takes it before a row names it.
pub(crate) async fn claim(app: &App, sha256: &str, size_bytes: u64) -> Result<bool, Error> {
    let _publishing = app.publishing().await?;
    if size(app, sha256).await? != Some(size_bytes) {
        return Ok(false);
    }
    Ok(app.artifacts().touch(known(sha256)?).await?)
}

/// What a signed address permits.
pub(crate) fn verify(app: &App, method: Method, hash: &str, query: &str) -> Result<Grant, Error> {
    app.signer()
        .verify(method, hash, query, app.now())
        .map_err(|refusal| match refusal {
            Refusal::Expired => Error::Gone("This address has expired. Ask for a new one.".into()),
            Refusal::Forged => Error::Forbidden("This address was not signed here.".into()),
        })
}

/// Stores the body that a grant permits, an object or a part of one, and notes that an upload arrived.
pub(crate) async fn write(
    app: &App,
    grant: &Grant,
    body: &mut (dyn AsyncRead + Send + Unpin),
) -> Result<(), Error> {
    if parts::write(app, grant, body).await? {
        return Ok(());
    }
    app.artifacts()
        .put(grant.hash, grant.size_bytes, body)
        .await?;
    if let Ok(upload) = grant.subject.parse() {
        app.store().mark_upload_received(upload).await?;
    }
    Ok(())
}

/// Stores bytes at hand; gives their hash.
pub(crate) async fn keep(app: &App, mut bytes: &[u8]) -> Result<String, Error> {
    let hash = ObjectHash::of(bytes);
    let size = bytes.len() as u64;
    let known = app.artifacts().size(hash).await? == Some(size);
    if !known || !app.artifacts().touch(hash).await? {
        app.artifacts().put(hash, size, &mut bytes).await?;
    }
    Ok(hash.to_string())
}

/// Size of an object.
pub(crate) async fn size(app: &App, sha256: &str) -> Result<Option<u64>, Error> {
    Ok(app.artifacts().size(known(sha256)?).await?)
}

/// Opens an object or a part of it.
pub(crate) async fn open(
    app: &App,
    sha256: &str,
    range: Option<Range<u64>>,
) -> Result<Object, Error> {
    app.artifacts()
        .open(known(sha256)?, range)
        .await?
        .ok_or(Error::NotFound)
}

/// Reads a whole object that is not larger than `limit`.
pub(crate) async fn read(app: &App, sha256: &str, limit: u64) -> Result<Vec<u8>, Error> {
    let object = open(app, sha256, None).await?;
    if object.size_bytes > limit {
        return Err(Error::TooLarge);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(object.size_bytes).unwrap_or(0));
    object
        .reader
        .take(limit)
        .read_to_end(&mut bytes)
        .await
        .map_err(|error| match error.downcast::<artifacts::Error>() {
            Ok(error) => error.into(),
            Err(error) => Error::internal(error),
        })?;
    Ok(bytes)
}

/// Reads a document of this server's own that is not larger than `limit`.
pub(crate) async fn read_json<T: DeserializeOwned>(
    app: &App,
    sha256: &str,
    limit: u64,
) -> Result<T, Error> {
    let bytes = read(app, sha256, limit).await?;
    serde_json::from_slice(&bytes).map_err(Error::internal)
}

/// Removes objects that no row names any more; a failure leaves them to the collector.
pub(crate) async fn forget<'a>(app: &App, hashes: impl Iterator<Item = &'a str> + Send) {
    let hashes: Vec<&str> = hashes.collect();
    if let Err(error) = forget_all(app, &hashes).await {
        tracing::warn!(%error, cause = error.cause(), "objects were left to the collector");
    }
}

async fn forget_all(app: &App, hashes: &[&str]) -> Result<(), Error> {
    for some in hashes.chunks(REMOVED_AT_ONCE) {
        app.unless_publishing(remove(app, some)).await?;
    }
    Ok(())
}

async fn remove(app: &App, hashes: &[&str]) -> Result<(), Error> {
    let needed = app.store().referenced_hashes().await?;
    for hash in hashes.iter().filter(|hash| !needed.contains(**hash)) {
        app.artifacts().delete(known(hash)?).await?;
    }
    Ok(())
}

async fn named(app: &App) -> Result<HashSet<ObjectHash>, Error> {
    let named = app.store().referenced_hashes().await?;
    named.iter().map(|sha256| known(sha256)).collect()
}

/// Removes every old object and delivery that no row needs.
///
/// A large bucket is listed for minutes, and what was kept for months may be a hundred thousand objects: those who
/// publish wait for a few removals at a time, and for no listing.
pub(crate) async fn collect(app: &App) -> Result<(), Error> {
    let limit = app.now().milliseconds() - SPARED_MILLISECONDS;
    let limit = Timestamp::from_milliseconds(limit);
    let mut orphans = artifacts::old(app.artifacts(), limit).await?;
    let needed = named(app).await?;
    orphans.retain(|info| !needed.contains(&info.hash));
    let (mut objects, mut bytes) = (0, 0);
    for some in orphans.chunks(REMOVED_AT_ONCE) {
        let removed = app.unless_publishing(remove_orphans(app, some, limit));
        let removed = removed.await?;
        objects += removed.objects;
        bytes += removed.bytes;
    }
    let unfinished = app.unless_publishing(remove_unfinished(app, limit)).await?;
    if objects + unfinished > 0 {
        tracing::info!(objects, bytes, unfinished, "what nobody needs was removed");
    }
    Ok(())
}

async fn remove_orphans(
    app: &App,
    orphans: &[ObjectInfo],
    limit: Timestamp,
) -> Result<Collected, Error> {
    // Some may have been named since they were listed.
    let needed = named(app).await?;
    let orphans = orphans.iter().filter(|info| !needed.contains(&info.hash));
    let orphans: Vec<ObjectInfo> = orphans.copied().collect();
    Ok(artifacts::remove_orphans(app.artifacts(), &orphans, limit).await?)
}

async fn remove_unfinished(app: &App, limit: Timestamp) -> Result<u64, Error> {
    if let Some(scratch) = app.scratch() {
        artifacts::collect(scratch, limit, || async { Ok::<_, Error>([].into()) }).await?;
    }
    Ok(artifacts::remove_unfinished(app.artifacts(), limit).await?)
}

/// Makes a complete partial file an object.
pub(crate) async fn publish(
    app: &App,
    key: &str,
    size_bytes: u64,
    expected: Option<ObjectHash>,
) -> Result<ObjectHash, artifacts::Error> {
    let hash = app.staging().publish(key, size_bytes, expected).await?;
    if let Some(scratch) = app.scratch()
        && let Some(mut object) = scratch.open(hash, None).await?
    {
        let store = app.artifacts();
        store.put(hash, size_bytes, &mut *object.reader).await?;
    }
    Ok(hash)
}

/// A folder in which objects have these relative paths.
pub(crate) async fn lay_out(
    app: &App,
    files: Vec<(String, ObjectHash)>,
) -> Result<Folder, artifacts::Error> {
    let Some(scratch) = app.scratch() else {
        return app.staging().lay_out(files).await;
    };
    for (_, hash) in &files {
        if !scratch.exists(*hash).await?
            && let Some(mut object) = app.artifacts().open(*hash, None).await?
        {
            let size_bytes = object.size_bytes;
            scratch.put(*hash, size_bytes, &mut *object.reader).await?;
        }
    }
    let folder = app.staging().lay_out(files.clone()).await;
    // The folder holds the files by links of its own.
    for (_, hash) in files {
        scratch.delete(hash).await?;
    }
    folder
}
