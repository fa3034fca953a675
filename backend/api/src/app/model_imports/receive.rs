//! Parts of uploaded files: each goes on where the last one stopped.

use shared::{
    ImportId, OrganisationId,
    model_import::{ImportFile, ImportStatus},
};
use store::ImportFileRecord;
use tokio::io::AsyncRead;

use super::{file_view, key, record};
use crate::{
    app::{App, blobs},
    error::Error,
};

/// Which bytes of its file a body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// First byte.
    pub start: u64,
    /// First byte after it.
    pub end: u64,
    /// Size of the whole file, as the sender knows it.
    pub total: u64,
    /// Whether the body is the whole file and replaces what arrived before.
    pub whole: bool,
}

/// Takes a part of a file; the last one makes the file complete, if its hash is right.
pub async fn receive(
    app: &App,
    owner: OrganisationId,
    (id, number): (ImportId, u32),
    part: Part,
    body: &mut (dyn AsyncRead + Send + Unpin),
) -> Result<ImportFile, Error> {
    let import = record(app, owner, id).await?;
    let files = app.store().import_files(owner, id).await?;
    let file = files.into_iter().find(|file| file.number == number);
    let file = file.ok_or(Error::NotFound)?;
    if file.stored {
        return file_view(app, id, &file).await;
    }
    if import.status != ImportStatus::Uploading {
        let detail = "This import takes no files now. Look at its status.";
        return Err(Error::Conflict(detail.into()));
    }
    check(part, &file)?;
    let key = key(id, number);
    if part.whole {
        app.staging().discard(&key).await?;
    }
    app.store().touch_import(id, app.now()).await?;
    let received = app
        .staging()
        .append(&key, part.start, part.end, body)
        .await?;
    if received < part.end {
        return Err(Error::Malformed(format!(
            "The body ended early. The server has {received} bytes of this file; go on there."
        )));
    }
    if received == file.size_bytes {
        publish(app, id, &file, &key).await?;
    }
    let files = app.store().import_files(owner, id).await?;
    let file = files.into_iter().find(|file| file.number == number);
    file_view(app, id, &file.ok_or(Error::NotFound)?).await
}

fn check(part: Part, file: &ImportFileRecord) -> Result<(), Error> {
    let size = file.size_bytes;
    if part.total > size || part.end > size {
        return Err(Error::TooLarge);
    }
    if part.total != size {
        return Err(Error::ChecksumMismatch(format!(
            "`{}` was announced with {size} bytes, not {}.",
            file.name, part.total
        )));
    }
    Ok(())
}

async fn publish(app: &App, id: ImportId, file: &ImportFileRecord, key: &str) -> Result<(), Error> {
    let expected = file.sha256.as_deref().map(str::parse).transpose();
    let expected = expected.map_err(Error::internal)?;
    let _publishing = app.publishing().await?;
    let published = blobs::publish(app, key, file.size_bytes, expected).await;
    let hash = published.map_err(|error| match error {
        artifacts::Error::HashMismatch { .. } => Error::ChecksumMismatch(format!(
            "`{}` is not the file that was announced: {error}. Send this file again from its first byte.",
            file.name
        )),
        other => other.into(),
    })?;
    let sha256 = hash.to_string();
    let store = app.store();
    store
        .mark_import_file_stored(id, file.number, &sha256, app.now())
        .await?;
    Ok(())
}
