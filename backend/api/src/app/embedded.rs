//! The embedded base model and encoder, as package `demo` carries them.
//!
//! Hashing them touches every page of the executable's data, which then counts as this process's
//! memory. So the hashes are kept beside the database and believed as long as the executable is the
//! same file.

use std::{fs, path::Path, time::UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use shared::node::InputRole;
use store::BaseModelFile;

use super::{App, blobs};
use crate::error::Error;

/// Side of the embedded model's images in pixels.
pub(crate) const RESOLUTION: u32 = 32;
/// Name of the encoder among a model's files.
const ENCODER: &str = "encoder.safetensors";

#[derive(Serialize, Deserialize)]
struct Index {
    executable: String,
    files: Vec<File>,
}

#[derive(Serialize, Deserialize)]
struct File {
    name: String,
    role: InputRole,
    sha256: String,
    size_bytes: u64,
}

/// Every embedded file, present in the artifact store.
pub(crate) async fn files(app: &App) -> Result<Vec<BaseModelFile>, Error> {
    let path = app.config().data_dir.join("embedded.json");
    let executable = executable();
    let known = fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Index>(&bytes).ok())
        .filter(|index| index.executable == executable);
    if let Some(index) = known
        && are_stored(app, &index.files).await?
    {
        return Ok(index.files.into_iter().map(record).collect());
    }
    let index = Index {
        executable,
        files: store_all(app).await?,
    };
    remember(&path, &index);
    Ok(index.files.into_iter().map(record).collect())
}

/// Size and time of the running executable; a new build differs.
fn executable() -> String {
    let metadata = std::env::current_exe().and_then(fs::metadata);
    let modified = metadata.as_ref().ok().and_then(|data| data.modified().ok());
    let age = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let size = metadata.map_or(0, |data| data.len());
    format!("{size} {}", age.unwrap_or_default().as_nanos())
}

async fn are_stored(app: &App, files: &[File]) -> Result<bool, Error> {
    for file in files {
        if blobs::size(app, &file.sha256).await? != Some(file.size_bytes) {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn store_all(app: &App) -> Result<Vec<File>, Error> {
    let model = demo::model_files().iter();
    let model = model.map(|(name, bytes)| (*name, InputRole::ModelFile, *bytes));
    let encoder = (ENCODER, InputRole::Encoder, demo::encoder());
    let mut files = Vec::new();
    for (name, role, bytes) in model.chain([encoder]) {
        files.push(File {
            name: name.to_owned(),
            role,
            sha256: blobs::keep(app, bytes).await?,
            size_bytes: bytes.len() as u64,
        });
    }
    Ok(files)
}

/// Without the index the next start only takes longer.
fn remember(path: &Path, index: &Index) {
    let written = serde_json::to_vec(index)
        .map_err(std::io::Error::from)
        .and_then(|bytes| fs::write(path, bytes));
    if let Err(error) = written {
        tracing::warn!(%error, "the hashes of the embedded model were not kept");
    }
}

fn record(file: File) -> BaseModelFile {
    BaseModelFile {
        name: file.name,
        role: file.role,
        sha256: file.sha256,
        size_bytes: file.size_bytes,
    }
}
