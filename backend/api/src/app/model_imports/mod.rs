//! Imports of base models: announced or fetched, received in parts, verified, and then a base model of their owner.

mod download;
pub(crate) mod inspector;
mod receive;
mod verify;
mod work;

use shared::{
    ImportId, OrganisationId, Timestamp,
    job::Failure,
    model_import::{
        CreateImportSource, CreateModelImport, ImportFile, ImportSource, ImportSources,
        ImportStatus, ModelImport, RetryModelImport, S3Credentials,
    },
    page::Page,
};
use store::{ImportFileRecord, ModelImportRecord, NewImportFile, NewModelImport};

use super::{App, blobs, paging::Paging};
use crate::error::Error;

pub use receive::{Part, receive};
pub(crate) use work::{Imports, resume_all};

/// How long an import waits for its importer.
const PATIENCE_MILLISECONDS: i64 = 24 * 3_600_000;

/// The key of a file that is not complete.
fn key(import: ImportId, number: u32) -> String {
    format!("{}-{number}", import.uuid().simple())
}

async fn file_view(
    app: &App,
    import: ImportId,
    file: &ImportFileRecord,
) -> Result<ImportFile, Error> {
    let received_bytes = if file.stored {
        file.size_bytes
    } else {
        app.staging().received(&key(import, file.number)).await?
    };
    Ok(ImportFile {
        name: file.name.clone(),
        size_bytes: file.size_bytes,
        sha256: file.sha256.clone(),
        received_bytes,
        complete: file.stored,
        url: format!("/v1/base-model-imports/{import}/files/{}", file.number),
    })
}

async fn view(app: &App, import: ModelImportRecord) -> Result<ModelImport, Error> {
    let records = app.store().import_files(import.owner_id, import.id).await?;
    let mut files = Vec::with_capacity(records.len());
    for record in &records {
        files.push(file_view(app, import.id, record).await?);
    }
    let waits = matches!(
        import.status,
        ImportStatus::Uploading | ImportStatus::Failed
    );
    let expiry = import.touched_at.milliseconds() + PATIENCE_MILLISECONDS;
    Ok(ModelImport {
        id: import.id,
        name: import.name,
        licence: import.licence,
        classes: import.classes,
        status: import.status,
        source: import.source,
        received_bytes: files.iter().map(|file| file.received_bytes).sum(),
        size_bytes: files.iter().map(|file| file.size_bytes).sum(),
        files,
        failure: import.failure,
        base_model_id: import.model_id,
        created_at: import.created_at,
        expires_at: waits.then(|| Timestamp::from_milliseconds(expiry)),
    })
}

/// Where models can be imported from.
pub fn sources(app: &App) -> ImportSources {
    ImportSources {
        s3_endpoints: app.config().s3_endpoints.clone(),
    }
}

/// The import with its owner's secrets taken out of the request.
fn split(
    app: &App,
    request: CreateModelImport,
) -> Result<(NewModelImport, Option<S3Credentials>), Error> {
    let (source, status, files, credentials) = match request.source {
        CreateImportSource::Upload { files } => {
            let files = files.into_iter().map(|file| NewImportFile {
                name: file.name,
                size_bytes: file.size_bytes,
                sha256: Some(file.sha256),
                etag: None,
            });
            let files = files.collect();
            (ImportSource::Upload, ImportStatus::Uploading, files, None)
        }
        CreateImportSource::S3 {
            endpoint,
            region,
            bucket,
            prefix,
            credentials,
        } => {
            allow(app, &endpoint)?;
            let source = ImportSource::S3 {
                endpoint,
                region,
                bucket,
                prefix,
                with_credentials: credentials.is_some(),
            };
            (source, ImportStatus::Downloading, Vec::new(), credentials)
        }
    };
    let new = NewModelImport {
        name: request.name.trim().to_owned(),
        licence: request.licence.trim().to_owned(),
        classes: request.classes,
        pinned_sha256: request.sha256,
        source,
        status,
        files,
    };
    Ok((new, credentials))
}

/// Refuses an address that the operator did not allow: the server would knock at any door that a request names.
fn allow(app: &App, endpoint: &str) -> Result<(), Error> {
    let allowed = &app.config().s3_endpoints;
    if allowed.iter().any(|known| known == endpoint) {
        return Ok(());
    }
    let detail = if allowed.is_empty() {
        "This server imports from no object storage. Its operator allows services with PERSGUARD_S3_ENDPOINTS; \
         upload the files instead."
            .to_owned()
    } else {
        format!("This server imports from {} only.", allowed.join(", "))
    };
    Err(Error::field(
        "#/source/endpoint",
        "endpoint_not_allowed",
        detail,
    ))
}

/// Starts an import.
pub async fn create(
    app: &App,
    owner: OrganisationId,
    request: CreateModelImport,
) -> Result<ModelImport, Error> {
    Error::unless_valid(request.validate())?;
    let (new, credentials) = split(app, request)?;
    let import = app.store().create_import(owner, new, app.now()).await?;
    tracing::info!(import.id = %import.id, "an import was started");
    if import.status.is_busy() {
        app.imports().keep(import.id, credentials);
        work::start(app, import.id);
    }
    view(app, import).await
}

/// The owner's imports, newest first.
pub async fn list(
    app: &App,
    owner: OrganisationId,
    paging: &Paging,
) -> Result<Page<ModelImport>, Error> {
    let records = app
        .store()
        .list_imports(owner, paging.after()?, paging.rows())
        .await?;
    let mut imports = Vec::with_capacity(records.len());
    for record in records {
        imports.push(view(app, record).await?);
    }
    Ok(paging.page(imports, |import| import.id))
}

/// An import of this owner.
async fn record(
    app: &App,
    owner: OrganisationId,
    id: ImportId,
) -> Result<ModelImportRecord, Error> {
    let found = app.store().find_import(owner, id).await?;
    found.ok_or(Error::NotFound)
}

/// An import of this owner, with how far every file is.
pub async fn find(app: &App, owner: OrganisationId, id: ImportId) -> Result<ModelImport, Error> {
    view(app, record(app, owner, id).await?).await
}

/// Has a completely uploaded model verified; repeating it changes nothing.
pub async fn complete(
    app: &App,
    owner: OrganisationId,
    id: ImportId,
) -> Result<ModelImport, Error> {
    let import = record(app, owner, id).await?;
    if matches!(import.status, ImportStatus::Verifying | ImportStatus::Ready) {
        return view(app, import).await;
    }
    let from = [ImportStatus::Uploading];
    advance(app, owner, id, &from, ImportStatus::Verifying).await
}

async fn advance(
    app: &App,
    owner: OrganisationId,
    id: ImportId,
    from: &[ImportStatus],
    to: ImportStatus,
) -> Result<ModelImport, Error> {
    let moved = app.store().move_import(owner, id, from, to, app.now());
    match moved.await {
        // Two requests at once: the other one did it.
        Err(store::Error::ImportState { status }) if status == to => {}
        other => other?.ok_or(Error::NotFound)?,
    }
    if to.is_busy() {
        work::start(app, id);
    }
    find(app, owner, id).await
}

/// Goes on with a failed import where it stopped.
pub async fn retry(
    app: &App,
    owner: OrganisationId,
    id: ImportId,
    request: RetryModelImport,
) -> Result<ModelImport, Error> {
    let import = record(app, owner, id).await?;
    let from = [ImportStatus::Failed];
    match import.source {
        ImportSource::Upload => {
            match advance(app, owner, id, &from, ImportStatus::Verifying).await {
                // Files can be missing where they were damaged.
                Err(Error::FilesMissing(_)) => {
                    advance(app, owner, id, &from, ImportStatus::Uploading).await
                }
                other => other,
            }
        }
        ImportSource::S3 {
            with_credentials,
            endpoint,
            ..
        } => {
            allow(app, &endpoint)?;
            if with_credentials && request.credentials.is_none() {
                let detail = "Give the keys of the object storage again: they were not kept.";
                return Err(Error::field("#/credentials", "required", detail));
            }
            if import.status == ImportStatus::Failed {
                app.imports().keep(id, request.credentials);
            }
            advance(app, owner, id, &from, ImportStatus::Downloading).await
        }
    }
}

/// Stops an import and removes what it brought; a model that it became stays.
pub async fn delete(app: &App, owner: OrganisationId, id: ImportId) -> Result<(), Error> {
    let deleted = app.store().delete_import(owner, id).await?;
    let files = deleted.ok_or(Error::NotFound)?;
    app.imports().forget(id);
    for file in files.iter().filter(|file| !file.stored) {
        discard(app, &key(id, file.number)).await;
    }
    let stored = files.iter().filter(|file| file.stored);
    blobs::forget(app, stored.filter_map(|file| file.sha256.as_deref())).await;
    Ok(())
}

/// Removes a partial file; a failure leaves it to the sweep.
async fn discard(app: &App, key: &str) {
    if let Err(error) = app.staging().discard(key).await {
        tracing::warn!(%error, "a partial file was left to the sweep");
    }
}

/// Gives up imports that nobody went on with, and removes partial files that no import names.
pub(crate) async fn sweep(app: &App) -> Result<(), Error> {
    let before = app.now().milliseconds() - PATIENCE_MILLISECONDS;
    let before = Timestamp::from_milliseconds(before);
    // Listed before the imports: a file that comes in between has its import.
    let keys = app.staging().keys().await?;
    let given_up = app.store().delete_abandoned_imports(before).await?;
    if given_up > 0 {
        tracing::info!(count = given_up, "abandoned imports were removed");
    }
    let known = app.store().import_ids_any().await?;
    let known: Vec<String> = known
        .iter()
        .map(|id| id.uuid().simple().to_string())
        .collect();
    for key in keys {
        let owner = key.split('-').next().unwrap_or_default();
        if !known.iter().any(|id| id == owner) {
            discard(app, &key).await;
        }
    }
    Ok(())
}

/// Why an import ended, for people.
pub(crate) fn failure(code: &str, cause: impl Into<String>, fix: &str, retryable: bool) -> Failure {
    Failure {
        code: code.to_owned(),
        cause: cause.into(),
        evidence: String::new(),
        fix: fix.to_owned(),
        retryable,
    }
}
