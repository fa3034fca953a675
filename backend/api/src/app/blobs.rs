//! Bytes by hash: signed addresses, bounded reads, and the removal of what nobody needs.

use std::ops::Range;

use artifacts::{Grant, Method, Object, ObjectHash, Refusal};
use shared::{Timestamp, UploadId};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::App;
use crate::error::Error;

/// How long a signed address works.
pub(crate) const URL_MILLISECONDS: i64 = 3_600_000;
/// Objects younger than this are spared: a node uploads before a row names them.
const SPARED_MILLISECONDS: i64 = 2 * 24 * 3_600_000;

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
    Timestamp::from_milliseconds(app.now().milliseconds() + URL_MILLISECONDS)
}

fn url(
    app: &App,
    method: Method,
    sha256: &str,
    size_bytes: u64,
    subject: String,
) -> Result<String, Error> {
    Ok(app.signer().sign(&Grant {
        method,
        hash: known(sha256)?,
        size_bytes,
        expires_at: url_expiry(app),
        subject,
    }))
}

/// An address to fetch an object.
pub(crate) fn read_url(app: &App, sha256: &str, size_bytes: u64) -> Result<String, Error> {
    url(app, Method::Get, sha256, size_bytes, String::new())
}

/// An address to send an object of a node.
pub(crate) fn write_url(app: &App, sha256: &str, size_bytes: u64) -> Result<String, Error> {
    url(app, Method::Put, sha256, size_bytes, String::new())
}

/// An address to send the bytes of an upload.
pub(crate) fn upload_url(
    app: &App,
    upload: UploadId,
    sha256: &str,
    size_bytes: u64,
) -> Result<String, Error> {
    url(app, Method::Put, sha256, size_bytes, upload.to_string())
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

/// Stores the body that a grant permits, and notes that an upload arrived.
pub(crate) async fn write(
    app: &App,
    grant: &Grant,
    body: &mut (dyn AsyncRead + Send + Unpin),
) -> Result<(), Error> {
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
    if app.artifacts().size(hash).await? != Some(size) {
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
        .map_err(Error::internal)?;
    Ok(bytes)
}

/// Removes objects that no row names any more; a failure leaves them to the collector.
pub(crate) async fn forget<'a>(app: &App, hashes: impl Iterator<Item = &'a str> + Send) {
    let hashes: Vec<&str> = hashes.collect();
    if let Err(error) = forget_all(app, &hashes).await {
        tracing::warn!(%error, cause = error.cause(), "objects were left to the collector");
    }
}

async fn forget_all(app: &App, hashes: &[&str]) -> Result<(), Error> {
    let _publishing = app.publishing().write().await;
    let needed = app.store().referenced_hashes().await?;
    for hash in hashes.iter().filter(|hash| !needed.contains(**hash)) {
        app.artifacts().delete(known(hash)?).await?;
    }
    Ok(())
}

/// Removes every old object that no row needs.
pub(crate) async fn collect(app: &App) -> Result<(), Error> {
    let _publishing = app.publishing().write().await;
    let limit = app.now().milliseconds() - SPARED_MILLISECONDS;
    let needed = app.store().referenced_hashes().await?;
    for object in app.artifacts().list().await? {
        let old = object.stored_at.milliseconds() < limit;
        if old && !needed.contains(&object.hash.to_string()) {
            app.artifacts().delete(object.hash).await?;
        }
    }
    Ok(())
}
