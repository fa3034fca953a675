//! The artifact store, tried from here; and what a browser needs to try its own way there.

use std::{io, path::Path};

use artifacts::{ObjectHash, S3Settings};
use shared::storage_check::{BrowserProbe, StorageCheck, StorageFinding, StoragePlace};
use tokio::io::AsyncReadExt;

use super::{App, blobs};
use crate::{disk, error::Error, secret};

/// Bytes that a directory should have left for the next results.
const LOW_BYTES: u64 = 5 << 30;

/// Tries everything that the product does with its store.
pub async fn run(app: &App) -> Result<StorageCheck, Error> {
    let settings = app.config().storage.settings().map_err(Error::internal)?;
    let (place, findings) = match settings {
        Some(settings) => (StoragePlace::Bucket, bucket(app, settings).await),
        None => (StoragePlace::Directory, directory(app).await),
    };
    let text = format!("persguard storage check {}", secret::random_text());
    let probe_sha256 = blobs::keep(app, text.as_bytes()).await?;
    let held = app.artifacts().list().await?;
    Ok(StorageCheck {
        place,
        findings,
        browser: browser(app, &probe_sha256, text).await?,
        probe_sha256,
        objects: held.len() as u64,
        bytes: held.iter().map(|object| object.size_bytes).sum(),
    })
}

/// Removes the probe, whichever way it came; an object that a row names stays.
pub async fn remove(app: &App, sha256: &str) -> Result<(), Error> {
    sha256.parse::<ObjectHash>().map_err(|_| Error::NotFound)?;
    blobs::forget(app, [sha256].into_iter()).await;
    Ok(())
}

async fn browser(app: &App, sha256: &str, text: String) -> Result<BrowserProbe, Error> {
    let size = text.len() as u64;
    let put = blobs::probe_request(app, sha256, size).await?;
    Ok(BrowserProbe {
        put_url: put.url,
        put_headers: put.headers,
        get_url: blobs::read_url(app, sha256, size).await?,
        text,
        expires_at: blobs::url_expiry(app),
    })
}

async fn bucket(app: &App, settings: S3Settings) -> Vec<StorageFinding> {
    let found = artifacts::check(settings, Some(app.public_url())).await;
    let findings = found.into_iter();
    findings
        .map(|finding| told(finding.name, finding.outcome))
        .collect()
}

fn told(name: &str, outcome: Result<String, String>) -> StorageFinding {
    StorageFinding {
        name: name.to_owned(),
        works: outcome.is_ok(),
        detail: outcome.unwrap_or_else(|advice| advice),
    }
}

async fn directory(app: &App) -> Vec<StorageFinding> {
    let text = format!("persguard storage check {}", secret::random_text());
    let bytes = text.as_bytes();
    let hash = ObjectHash::of(bytes);
    let store = app.artifacts();
    let mut body = bytes;
    let put = store.put(hash, bytes.len() as u64, &mut body).await;
    let get = read(app, hash).await;
    let removed = store.delete(hash).await;
    vec![
        told("put", outcome(put, "an object was written")),
        told(
            "get",
            match get {
                Ok(found) if found == bytes => Ok("it came back unchanged".into()),
                Ok(_) => {
                    Err("it came back changed: check the disk under the data directory".into())
                }
                Err(error) => Err(error),
            },
        ),
        told("delete", outcome(removed, "what was written is removed")),
        told("space", space(&app.config().data_dir)),
    ]
}

fn outcome<T>(result: Result<T, artifacts::Error>, words: &str) -> Result<String, String> {
    result.map(|_| words.to_owned()).map_err(|error| {
        format!("{error}: give the server's user the right to write below its data directory")
    })
}

async fn read(app: &App, hash: ObjectHash) -> Result<Vec<u8>, String> {
    let object = app.artifacts().open(hash, None).await;
    let mut object = object
        .map_err(|error| error.to_string())?
        .ok_or("what was written cannot be found")?;
    let mut bytes = Vec::new();
    let read = object.reader.read_to_end(&mut bytes).await;
    read.map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn space(folder: &Path) -> Result<String, String> {
    let free = match disk::free_bytes(folder) {
        Ok(free) => free,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            return Ok("not looked at on this system".into());
        }
        Err(error) => return Err(error.to_string()),
    };
    let text = format!("{:.1} GB are free", free as f64 / 1e9);
    if free < LOW_BYTES {
        return Err(format!(
            "{text}: a protected Stable Diffusion model takes 3.4; make room or set a retention"
        ));
    }
    Ok(text)
}
