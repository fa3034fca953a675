//! The server's own work on imports: one task for each, ended with its import or with the server.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use shared::{
    ImportId,
    job::Failure,
    model_import::{ImportSource, ImportStatus, S3Credentials},
};
use store::Lock;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{download, failure, verify};
use crate::{app::App, error::Error};

/// Models that are fetched at once.
const DOWNLOADS: usize = 2;
/// Imports that are worked on at once.
const SEATS: usize = 4;
/// Pause after a fault of the database.
const PAUSE: Duration = Duration::from_secs(5);

/// Why the work on an import ended early.
pub(super) enum Stop {
    /// The import failed.
    Failed(Failure),
    /// The server could not go on; nothing is known about the import.
    Fault(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::StorageUnavailable(_) => Self::Failed(failure(
                "disk_full",
                "The server's storage is full or does not answer.",
                "Ask its operator to make room, then retry: what arrived is kept.",
                true,
            )),
            other => Self::Fault(other),
        }
    }
}

impl From<store::Error> for Stop {
    fn from(error: store::Error) -> Self {
        Error::from(error).into()
    }
}

impl From<artifacts::Error> for Stop {
    fn from(error: artifacts::Error) -> Self {
        Error::from(error).into()
    }
}

/// What the server knows of running imports; the keys of object storage are nowhere else.
pub(crate) struct Imports {
    running: Mutex<HashMap<ImportId, CancellationToken>>,
    credentials: Mutex<HashMap<ImportId, S3Credentials>>,
    /// Those that are worked on hold a lock each, and there are few: the others wait without one.
    seats: Semaphore,
    pub(super) downloads: Semaphore,
    pub(super) inspections: Semaphore,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Imports {
    /// Nothing runs.
    pub(crate) fn new() -> Self {
        Self {
            running: Mutex::default(),
            credentials: Mutex::default(),
            seats: Semaphore::new(SEATS),
            downloads: Semaphore::new(DOWNLOADS),
            inspections: Semaphore::new(1),
        }
    }

    /// Keeps the keys of an import in memory, until its files are here.
    pub(super) fn keep(&self, id: ImportId, credentials: Option<S3Credentials>) {
        let mut kept = lock(&self.credentials);
        match credentials {
            Some(credentials) => kept.insert(id, credentials),
            None => kept.remove(&id),
        };
    }

    /// The keys of an import.
    pub(super) fn credentials(&self, id: ImportId) -> Option<S3Credentials> {
        lock(&self.credentials).get(&id).cloned()
    }

    /// Stops the work on an import.
    pub(super) fn forget(&self, id: ImportId) {
        lock(&self.credentials).remove(&id);
        if let Some(running) = lock(&self.running).remove(&id) {
            running.cancel();
        }
    }

    /// `None` where somebody works on it already.
    fn begin(&self, id: ImportId, stop: &CancellationToken) -> Option<CancellationToken> {
        let mut running = lock(&self.running);
        if running.contains_key(&id) {
            return None;
        }
        let token = stop.child_token();
        running.insert(id, token.clone());
        Some(token)
    }

    /// Whether somebody here works on an import.
    fn is_running(&self, id: ImportId) -> bool {
        lock(&self.running).contains_key(&id)
    }

    fn end(&self, id: ImportId) {
        lock(&self.running).remove(&id);
    }
}

/// Works on an import until it is ready or failed.
pub(super) fn start(app: &App, id: ImportId) {
    let Some(stop) = app.imports().begin(id, app.stop()) else {
        return;
    };
    let app = app.clone();
    tokio::spawn(async move {
        let alone = tokio::select! {
            () = stop.cancelled() => true,
            alone = drive_alone(&app, id) => alone,
        };
        app.imports().end(id);
        if !alone {
            return; // another server works on it; should that end, the leader goes on
        }
        // A retry that came in between found this task still here.
        let busy = app.store().find_import_any(id).await;
        let busy = busy.ok().flatten().is_some_and(|it| it.status.is_busy());
        if busy && !stop.is_cancelled() {
            start(&app, id);
        }
    });
}

/// False where another server of the same database works on it.
async fn drive_alone(app: &App, id: ImportId) -> bool {
    let Ok(_seat) = app.imports().seats.acquire().await else {
        return true;
    };
    match app.store().try_hold(Lock::Import(id)).await {
        Ok(None) => return false,
        Ok(Some(held)) => {
            // A lock that is lost ends the work here; what arrived is kept.
            let _ = Box::pin(held.during(drive(app, id))).await;
            let _ = held.release().await;
        }
        Err(error) => {
            tracing::error!(%error, import.id = %id, "an import could not be begun");
            tokio::time::sleep(PAUSE).await;
        }
    }
    true
}

async fn drive(app: &App, id: ImportId) {
    match advance(app, id).await {
        Ok(()) => {}
        Err(Stop::Failed(failure)) => {
            tracing::warn!(import.id = %id, code = failure.code, cause = failure.cause, "an import failed");
            app.imports().keep(id, None);
            if let Err(error) = app.store().fail_import(id, &failure, app.now()).await {
                tracing::error!(%error, "the failure of an import was not noted");
                tokio::time::sleep(PAUSE).await;
            }
        }
        Err(Stop::Fault(error)) => {
            tracing::error!(%error, cause = error.cause(), import.id = %id, "an import could not go on");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn advance(app: &App, id: ImportId) -> Result<(), Stop> {
    let Some(import) = app.store().find_import_any(id).await? else {
        return Ok(());
    };
    match import.status {
        ImportStatus::Downloading => {
            download::run(app, &import).await?;
            app.imports().keep(id, None);
            let from = [ImportStatus::Downloading];
            let to = ImportStatus::Verifying;
            let moved = app
                .store()
                .move_import(import.owner_id, id, &from, to, app.now())
                .await?;
            match moved {
                Some(()) => verify::run(app, &import).await,
                None => Ok(()),
            }
        }
        ImportStatus::Verifying => verify::run(app, &import).await,
        ImportStatus::Uploading | ImportStatus::Ready | ImportStatus::Failed => Ok(()),
    }
}

/// Goes on with what a process was working on that is no more; keys died with it and are asked for again.
pub(crate) async fn resume_all(app: &App) -> Result<(), Error> {
    for import in app.store().list_busy_imports_any().await? {
        if app.imports().is_running(import.id) {
            continue;
        }
        let Some(free) = app.store().try_hold(Lock::Import(import.id)).await? else {
            continue; // another server is at it
        };
        free.release().await?;
        let needs_keys = import.status == ImportStatus::Downloading
            && matches!(
                import.source,
                ImportSource::S3 {
                    with_credentials: true,
                    ..
                }
            );
        if needs_keys {
            let failure = failure(
                "credentials_needed",
                "The server was started again, and keys of object storage are never kept.",
                "Give the keys again to go on: what was fetched is still here.",
                true,
            );
            app.store()
                .fail_import(import.id, &failure, app.now())
                .await?;
        } else {
            start(app, import.id);
        }
    }
    Ok(())
}
